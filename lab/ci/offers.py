"""Results that CI reproduced, offered to the branch that lacks them; a refusal is a line, no fault.

What GITHUB_TOKEN pushes or merges starts no workflow, so an offer starts no run, and where it is
merged the runs of the new commit are asked for.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from lab.base.errors import LabError
from lab.ci import commits
from lab.ci.github import Api, GitHubError
from lab.ci.pulls import Pull

LOCK, METRICS = "dvc.lock", "metrics"  # what git tracks of the results
MAY_NOT_OPEN = "not permitted to create"  # in GitHub's words, which a setting answers
SETTING = "Settings, Actions, General, Allow GitHub Actions to create and approve pull requests"
MEASURES, TESTS = "cml.yaml", "check.yaml"  # workflows; a branch rule may wait for either


def packed(folder: Path) -> dict[str, bytes]:
    """The results in a folder by path: nothing else that may lie there, and no link.

    Raises:
        LabError: there are none.
    """
    paths = [folder / LOCK, *sorted((folder / METRICS).rglob("*"))]
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and not path.is_symlink()
    }
    if LOCK not in files:
        raise LabError(f"{folder}: must hold the results; got no {LOCK}; run the job again")
    return files


def offer(api: Api, pull: Pull, files: Mapping[str, bytes], *, merge: bool) -> list[str]:
    """Offers results that CI reproduced as a pull request into the branch of a pull request.

    Args:
        api: the repository.
        pull: a pull request from a branch of the repository itself.
        files: all results by path: `dvc.lock` and what `metrics/` holds.
        merge: merge it at once, where the rules of the repository allow it.

    Returns:
        What came of it, a line each; a refusal names what to switch on.

    Raises:
        LabError: the pull request comes from a fork.
        GitHubError: the results may not be put on a branch, or GitHub cannot be reached.
    """
    head, branch = pull.head, f"results-of-{pull.number}"
    if not pull.is_own:
        raise LabError("offers are for branches of this repository only")
    if commits.reference(api, head.ref) != head.sha:
        return [f"no results are offered: {head.ref} has moved on, and its own run does"]
    made = _commit(api, head.sha, files)
    if made == head.sha:
        return ["the branch has these results"]
    commits.move(api, branch, commits.reference(api, branch), made, force=True)
    try:
        number = _opened(api, pull, branch)
    except GitHubError as error:
        how = f"allow it ({SETTING}), or " if MAY_NOT_OPEN in str(error) else ""
        return [f"the results are on {branch}, not offered: {error}; {how}merge that branch"]
    return [f"the results are offered as #{number}", *(_merged(api, pull, number, made, merge))]


def _commit(api: Api, head: str, files: Mapping[str, bytes]) -> str:
    listed = api.get(f"git/trees/{head}", recursive=1)["tree"]
    held = [one["path"] for one in listed if one["type"] == "blob"]
    removed: dict[str, bytes | None] = {
        path: None for path in held if path.startswith(f"{METRICS}/") and path not in files
    }
    stored = commits.entries(api, {**removed, **files})
    return commits.commit(api, "Update the results", stored, head)


def _opened(api: Api, pull: Pull, branch: str) -> int:
    owner = api.repository.split("/")[0]
    listed = api.pages("pulls", state="open", head=f"{owner}:{branch}", base=pull.head.ref)
    for one in listed:
        if one["head"]["ref"] == branch and one["base"]["ref"] == pull.head.ref:
            return int(one["number"])
    body = {
        "title": f"Results of #{pull.number}",
        "head": branch,
        "base": pull.head.ref,
        "body": f"`{LOCK}` and `{METRICS}/` as `dvc repro` made them of {pull.head.sha}.",
    }
    return int(api.send("POST", "pulls", body)["number"])


def _merged(api: Api, pull: Pull, number: int, made: str, asked: bool) -> list[str]:
    if not asked:
        return []
    try:
        _merge(api, number, made)
    except GitHubError as error:
        # The answer may have been lost, and not the request.
        if not error.may_pass or commits.reference(api, pull.head.ref) == pull.head.sha:
            return [f"#{number} is not merged: {error}; merge it by hand, or allow it in the rules"]
    return [f"#{number} is merged", *_started(api, pull)]


def _merge(api: Api, number: int, made: str) -> None:
    """Merges; GitHub may need some seconds to know that a new pull request has no conflict."""
    for left in range(len(api.pauses), -1, -1):
        try:
            body = {"sha": made, "merge_method": "merge"}
            api.send("PUT", f"pulls/{number}/merge", body, once=True)
        except GitHubError as error:
            if error.status != 405 or not left:
                raise
            time.sleep(api.pauses[-left])
        else:
            return


def _started(api: Api, pull: Pull) -> list[str]:
    """Asks for the runs that a push by somebody would have started."""
    said = []
    for name, inputs in ((MEASURES, {"base": pull.base.sha}), (TESTS, {})):
        try:
            body = {"ref": pull.head.ref, "inputs": inputs}
            api.send("POST", f"actions/workflows/{name}/dispatches", body)
        except GitHubError as error:
            said.append(
                f"{name} does not run for the new commit: {error}; start it: Actions, "
                f"{name.partition('.')[0]}, Run workflow, on {pull.head.ref}"
            )
    return said
