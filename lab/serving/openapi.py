"""What /openapi.json says of this model: each form of its input, with examples, and answers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lab.serving import bodies

Schema = dict[str, Any]

STATUSES = {
    400: "The request is no HTTP",
    401: "The token is missing or wrong",
    403: "The request comes from a page of another site, or asks for another host",
    404: "There is no such path, or nothing is recorded here",
    408: "The request came too slowly",
    413: "The body is too large, or holds too many inputs",
    415: "The content type is not one that this model reads",
    422: "The body is not what the model takes",
    503: "Too many wait; Retry-After says when to come again",
}
FLOAT32 = 3.4028234663852886e38
DETAIL: Schema = {
    "type": "object", "required": ["detail"], "properties": {"detail": {"type": "string"}},
}  # fmt: skip


def refusals(*statuses: int) -> dict[int | str, Schema]:
    """The answers that are none, all alike: one sentence."""
    content = {"application/json": {"schema": DETAIL}}
    return {status: {"description": STATUSES[status], "content": content} for status in statuses}


def prediction(described: Mapping[str, Any], most: int) -> Schema:
    """The request of /predict."""
    content = {kind: _body(kind, described, most) for kind in bodies.readers_of(described)}
    show = {
        "name": "show", "in": "query", "schema": {"type": "boolean", "default": False},
        "description": "With a picture: the answer has what the model sees of it, as a PNG",
    }  # fmt: skip
    draft = {
        "name": "draft", "in": "query", "schema": {"type": "boolean", "default": False},
        "description": "An input that is not done yet: its class is neither counted nor recorded",
    }  # fmt: skip
    return {"requestBody": {"required": True, "content": content}, "parameters": [show, draft]}


def _body(kind: str, described: Mapping[str, Any], most: int) -> Schema:
    match kind:
        case bodies.JSON:
            return _json(described, most)
        case bodies.RAW:
            size = int(np.prod(described["shape"])) * np.dtype(described["dtype"]).itemsize
            form = f"{described['dtype']} {described['shape']}, little-endian"
            text = f"Inputs one after the other, {size:,} bytes each: {form}"
            return {"schema": {"type": "string", "format": "binary", "description": text}}
        case bodies.CSV:
            columns = described.get("columns") or []
            header = [",".join(columns)] if columns else []
            row = ",".join("0" for _ in range(described["shape"][0]))
            text = (
                "Rows of numbers, after a line with the columns' names or without; empty: missing"
            )
            return {
                "schema": {"type": "string", "description": text},
                "example": "\n".join([*header, row]) + "\n",
            }
        case bodies.TEXT:
            return {"schema": {"type": "string", "minLength": 1}, "example": "A text in UTF-8."}
    text = "One picture, which is brought into the form of the data"
    return {"schema": {"type": "string", "format": "binary", "description": text}}


def _json(described: Mapping[str, Any], most: int) -> Schema:
    schema = _number(described)
    for size in reversed(described["shape"]):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    inputs = {"type": "array", "items": schema, "minItems": 1, "maxItems": most}
    zeros = np.zeros((1, *described["shape"]), described["dtype"])
    return {
        "schema": {
            "type": "object",
            "required": ["inputs"],
            "additionalProperties": False,
            "properties": {"inputs": inputs},
        },
        "example": {"inputs": zeros.tolist()},
    }


def _number(described: Mapping[str, Any]) -> Schema:
    """One number of an input."""
    match described["dtype"]:
        case "uint8":
            return {"type": "integer", "minimum": 0, "maximum": 255}
        case "int64":
            return {"type": "integer", "minimum": 0, "maximum": described["vocabulary"] - 1}
    has_fill = bool((described["scaling"] or {}).get("fill"))
    kinds = ["number", "null"] if has_fill else "number"
    return {"type": kinds, "minimum": -FLOAT32, "maximum": FLOAT32}


def answer(described: Mapping[str, Any], *, is_recording: bool) -> dict[int | str, Schema]:
    """The response of /predict."""
    names = described["class_names"]
    share = {"type": "number", "minimum": 0, "maximum": 1.000001}  # float32 rounds
    properties: Schema = {
        "class": {"type": "string", "enum": names},
        "probability": share,
        "probabilities": {
            "type": "object", "required": names, "properties": dict.fromkeys(names, share),
            "additionalProperties": False,
        },
        "unlike": {"type": "string", "description": "How the input is unlike all of training's"},
        "seen": {"type": "string", "description": "What the model sees: a PNG in base64"},
    }  # fmt: skip
    if is_recording:
        properties["id"] = {"type": "string", "description": "For /feedback"}
    one = {
        "type": "object",
        "required": ["class", "probability", "probabilities"],
        "properties": properties,
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "required": ["model", "predictions"],
        "properties": {
            "model": {"type": "string", "description": "The file's SHA-256, its first 12 digits"},
            "predictions": {"type": "array", "items": one, "minItems": 1},
        },
        "additionalProperties": False,
    }
    found = {"description": "A prediction an input", "content": {bodies.JSON: {"schema": schema}}}
    return {200: found, **refusals(400, 401, 403, 408, 413, 415, 422, 503)}


def feedback(described: Mapping[str, Any]) -> Schema:
    """The request of /feedback."""
    names = described["class_names"]
    schema = {
        "type": "object",
        "required": ["id", "label"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9a-f]{16}(-[0-9]{1,6})?$"},
            "label": {"type": "string", "enum": names},
        },
    }
    example = {"id": "0123456789abcdef", "label": names[0]}
    content = {bodies.JSON: {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}
