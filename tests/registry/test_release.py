"""The release at GitHub, through GitHub's protocol: drafted, filled, its image started, shown."""

import contextlib

import pytest
from github_server import NAME, OWNER, GitHub, serving
from promotions import step

from lab.ci.github import Api, GitHubError
from lab.registry import release

COMMIT = "1" * 40
FILES = {"model.onnx": b"\x08\x00model", "dataset-card.md": b"# Card\n"}
TAG = "model@v1.0.0"


@pytest.fixture
def server():
    with serving(GitHub()) as github:
        github.tags |= {TAG, "model@v2.0.0"}
        yield github


@pytest.fixture
def api(server):
    return Api(f"{OWNER}/{NAME}", "token", server.url, pauses=(0.0, 0.0))


def content(server, one=0) -> dict[str, bytes]:
    """The files of a release that anybody can download."""
    assets = server.releases[one]["assets"]
    assert {asset["state"] for asset in assets} <= {"uploaded"}
    return {asset["name"]: server.assets[asset["id"]] for asset in assets}


def test_a_release_has_the_files_and_starts_its_image(server, api):
    said = release.bring_in_line(api, step(COMMIT, reason="`@owner`"), FILES, 77)

    assert said == [
        f"{TAG}: release drafted", "model.onnx: uploaded", "dataset-card.md: uploaded",
        f"{TAG}: image.yaml started", f"{TAG}: the latest release",
    ]  # fmt: skip
    (found,) = server.releases
    assert (found["tag_name"], found["name"], found["draft"]) == (TAG, "v1", False)
    assert server.latest == found["id"]
    assert content(server) == FILES
    assert "@owner" not in "".join(found["body"].split("`")[::2])
    assert server.dispatches == [
        {"workflow": "image.yaml", "ref": TAG,
         "inputs": {"run": "77", "tag": "v1", "push": "true"}}
    ]  # fmt: skip

    asked = len(server.requests)
    assert release.bring_in_line(api, step(COMMIT), FILES, 78) == []
    assert all(one.startswith("GET") for one in server.requests[asked:])


def test_the_latest_release_is_what_is_in_production(server, api):
    first, second = step(COMMIT), step(COMMIT, 2)
    release.bring_in_line(api, first, FILES, 1)
    release.bring_in_line(api, second, FILES, 2)
    assert server.latest == 2
    back = step(COMMIT, 3, version=1, before=2, how="rolled back")
    assert release.bring_in_line(api, back, FILES, 3) == [f"{TAG}: the latest release"]
    assert server.latest == 1
    assert len(server.dispatches) == 2


POST, UPLOAD = "POST releases", r"POST uploads/releases/\d+/assets"
DISPATCH, SHOW = r"POST actions/workflows/image.yaml/dispatches", r"PATCH releases/\d+"


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("request_", [POST, UPLOAD, DISPATCH, SHOW])
def test_what_a_run_leaves_the_next_one_finishes(server, api, request_, is_done):
    server.faults = [(request_, 502, is_done)] * 9
    with contextlib.suppress(GitHubError):  # an upload that arrived is seen at once
        release.bring_in_line(api, step(COMMIT), FILES, 77)
    server.faults = []
    release.bring_in_line(api, step(COMMIT), FILES, 77)

    (found,) = server.releases
    assert (found["draft"], server.latest) == (False, found["id"])
    assert content(server) == FILES
    assert server.dispatches


def test_a_part_of_a_file_is_replaced(server, api):
    release.bring_in_line(api, step(COMMIT), FILES, 77)
    asset = server.releases[0]["assets"][0]
    for broken in ({"state": "starter", "size": 0, "digest": None}, {"size": 3}, {"digest": "x"}):
        asset.update(broken)
        assert release.bring_in_line(api, step(COMMIT), FILES, 77) == ["model.onnx: uploaded"]
        assert content(server) == FILES
        asset = server.releases[0]["assets"][-1]


def test_two_drafts_of_one_version_become_one(server, api):
    for _ in range(2):
        api.send("POST", "releases", {"tag_name": TAG, "draft": True})
    release.bring_in_line(api, step(COMMIT), FILES, 77)

    assert [one["draft"] for one in server.releases] == [False]


def test_without_the_right_it_is_one_line(server, api):
    server.forbidden = ["POST .*"]
    with pytest.raises(GitHubError, match="GitHub answers 403") as caught:
        release.bring_in_line(api, step(COMMIT), FILES, 77)
    assert "\n" not in str(caught.value)
    assert server.releases == []
