"""The release at GitHub: a version's files and cards, and the image that is made of them.

It is a draft until all of it is there and its image is on the way, so whatever ends a run in
between, the next one finds the draft and goes on.
"""

import mimetypes
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from lab.base import gto
from lab.base.files import sha256
from lab.ci.github import Api, GitHubError
from lab.registry.promotion import Promotion

IMAGE = "image.yaml"
UPLOADED = "uploaded"  # the state of an asset that is whole
ATTEMPTS = 3  # of an upload


def bring_in_line(
    api: Api, step: Promotion, files: Mapping[str, bytes], run: int | None
) -> list[str]:
    """Lets the release of a version be whole, public and the latest one; what was done.

    Args:
        api: the repository.
        step: what is in production.
        files: what the release holds, by name.
        run: that has the model as an artifact, for the image; None takes it from DagsHub.

    Raises:
        GitHubError: it is refused, or GitHub cannot be reached.
    """
    tag, said = gto.version_tag(step.version), list[str]()
    found = _found(api, tag)
    if found is None:
        found = api.send("POST", "releases", _described(step, tag), once=True)
        said.append(f"{tag}: release drafted")
    said += _complete(api, found, files)
    if found["draft"]:
        inputs = {"run": str(run or ""), "tag": f"v{step.version}", "push": "true"}
        path = f"actions/workflows/{IMAGE}/dispatches"
        api.send("POST", path, {"ref": tag, "inputs": inputs})
        said.append(f"{tag}: {IMAGE} started")
    if found["draft"] or _latest(api) != tag:
        shown = {"draft": False, "make_latest": "true"}
        api.send("PATCH", f"releases/{found['id']}", shown)
        said.append(f"{tag}: the latest release")
    return said


def _found(api: Api, tag: str) -> dict[str, Any] | None:
    """The release of a tag; a second draft, of a try that got no answer, is deleted."""
    all_of_tag = [one for one in api.pages("releases") if one["tag_name"] == tag]
    all_of_tag.sort(key=lambda one: (one["draft"], one["id"]))
    for one in all_of_tag[1:]:
        if one["draft"]:
            api.send("DELETE", f"releases/{one['id']}", {})
    return all_of_tag[0] if all_of_tag else None


def _described(step: Promotion, tag: str) -> dict[str, Any]:
    rows = [f"| `{form}.onnx` | `{digest}` |" for form, digest in step.files.items()]
    lines = [
        f"`{step.model}`, {step.metric} {step.score:.6g} on the test set; commit {step.commit}.",
        f"In production since {step.since}, put there by {_code(step.who)}.",
        *([f"Reason given: {_code(step.reason)}"] if step.reason else []),
        f"Against v{step.before}: {_code(step.line)}" if step.before else "The first one.",
        "\n".join(["| file | SHA-256 |", "|---|---|", *rows]),
    ]
    body = "\n\n".join(lines)
    return {"tag_name": tag, "name": f"v{step.version}", "body": body, "draft": True}


def _code(text: str) -> str:
    """What somebody else wrote, in which nothing is markup, a link or a mention."""
    return "`" + text.replace("`", "'") + "`"


def _complete(api: Api, release: Mapping[str, Any], files: Mapping[str, bytes]) -> list[str]:
    """Uploads what is missing; what an interrupted upload left is deleted before."""
    said: list[str] = []
    for number in range(1, ATTEMPTS + 1):
        there = {one["name"]: one for one in api.pages(f"releases/{release['id']}/assets")}
        lacking = [name for name in files if not _is(there.get(name), files[name])]
        try:
            for name in lacking:
                if name in there:
                    api.send("DELETE", f"releases/assets/{there[name]['id']}", {})
                kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
                upload = str(release["upload_url"]).partition("{")[0]
                api.upload(f"{upload}?name={quote(name)}", files[name], kind)
                said.append(f"{name}: uploaded")
        except GitHubError as error:
            if not error.may_pass or number == ATTEMPTS:
                raise
        else:
            break
    return said


def _is(asset: Mapping[str, Any] | None, content: bytes) -> bool:
    """Whether an asset is this one, whole; GitHub tells its SHA-256, older servers its size."""
    if asset is None or asset["state"] != UPLOADED or asset["size"] != len(content):
        return False
    return asset.get("digest") in (None, f"sha256:{sha256(content)}")


def _latest(api: Api) -> str:
    try:
        return str(api.get("releases/latest")["tag_name"])
    except GitHubError as error:
        if error.status != 404:
            raise
        return ""
