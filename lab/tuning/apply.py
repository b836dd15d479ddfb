"""Better values into params.yaml: those bytes change and no other."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from lab.base import params
from lab.base.errors import LabError, ParamsError
from lab.base.files import write_bytes
from lab.tuning.space import Values


def apply(file: Path, before: bytes, model: str, values: Values) -> None:
    """Writes values of a model's keys, whole or not at all; comments and layout stay.

    Args:
        file: params.yaml.
        before: its bytes as the search read them.
        model: whose entry changes.
        values: by key.

    Raises:
        LabError: the file is not any more what was read, or cannot be changed in place.
    """
    if file.read_bytes() != before:
        raise LabError(f"{file}: changed since the search began; nothing was written; search again")
    content = edited(before.decode(), model, values).encode()
    wanted = params.parse(before, str(file))
    entry = wanted.models[model].model_copy(update=dict(values))
    wanted = wanted.model_copy(update={"models": {**wanted.models, model: entry}})
    try:
        is_right = params.parse(content, str(file)) == wanted
    except ParamsError:
        is_right = False
    if not is_right:
        raise LabError(f"{file}: cannot be changed in place; nothing was written; write it by hand")
    write_bytes(file, content)


def edited(text: str, model: str, values: Values) -> str:
    r"""The text of a params.yaml with other values of a model's keys.

    >>> edited("models:\n  a:\n    rate: 0.1    # of a step\n", "a", {"rate": 0.25, "keep": [1]})
    'models:\n  a:\n    rate: 0.25   # of a step\n    keep: [1]\n'
    """
    entry = _value(_value(YAML().compose(text), "models"), model)
    assert isinstance(entry, MappingNode)  # noqa: S101
    there = {key.value: value for key, value in entry.value}
    changes = [
        (node.start_mark.index, _end(node), _indent(node) + _written(values[key]))
        for key, node in there.items()
        if key in values
    ]
    last = _end(entry.value[-1][1])
    new = {key: value for key, value in values.items() if key not in there}
    if new and entry.flow_style:
        text = text[:last] + "".join(f", {k}: {_written(v)}" for k, v in new.items()) + text[last:]
    elif new:
        at = (text + "\n").index("\n", last)
        indent = " " * entry.value[0][0].start_mark.column
        lines = "".join(f"\n{indent}{key}: {_written(value)}" for key, value in new.items())
        text = text[:at] + lines + text[at:]
    for start, end, value in sorted(changes, reverse=True):
        text = _replaced(text, start, end, value)
    return text


def _value(node: Any, key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)


def _end(node: Any) -> int:
    """Where a value ends; a block's mark stands after the comments that follow it."""
    if isinstance(node, ScalarNode) or node.flow_style or not node.value:
        index: int = node.end_mark.index
        return index
    last = node.value[-1]
    return _end(last[1] if isinstance(node, MappingNode) else last)


def _indent(node: Any) -> str:
    """What puts one line behind a key where a block began below it, maybe no further in."""
    return "" if isinstance(node, ScalarNode) or node.flow_style else "  "


def _written(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, str) and value.isidentifier():
        return value
    if isinstance(value, float):  # PyYAML takes 1e-07 for text, and 1.0e-07 for a number
        return repr(value) if "." in repr(value) else repr(value).replace("e", ".0e")
    return json.dumps(value)


def _replaced(text: str, start: int, end: int, new: str) -> str:
    """Text with a part replaced; a comment behind it keeps its column where it can."""
    rest = text[end:]
    spaces = len(rest) - len(rest.lstrip(" "))
    if rest[spaces : spaces + 1] == "#":
        rest = " " * max(1, spaces + (end - start) - len(new)) + rest[spaces:]
    return text[:start] + new + rest
