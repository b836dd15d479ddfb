"""Results that CI reproduced, offered to the branch that lacks them."""

from collections.abc import Mapping

from lab.ci import commits
from lab.ci.github import Api
from lab.ci.pulls import Pull


def offer(api: Api, pull: Pull, files: Mapping[str, bytes], *, merge: bool) -> int | None:
    """Offers results that CI reproduced as a pull request into the branch of a pull request.

    Args:
        api: the repository.
        pull: a pull request from a branch of the repository itself.
        files: all results by path: `dvc.lock` and what `metrics/` holds.
        merge: merge it at once, where the rules of the repository allow it.

    Returns:
        The number of the offer; None when the branch has these results.

    Raises:
        GitHubError: workflows may not open pull requests, or GitHub cannot be reached.
    """
    head, branch = pull.head, f"results-of-{pull.number}"
    listed = api.get(f"git/trees/{head.sha}", recursive=1)["tree"]
    held = [one["path"] for one in listed if one["type"] == "blob"]
    removed: dict[str, bytes | None] = {
        path: None for path in held if path.startswith("metrics/") and path not in files
    }
    stored = commits.entries(api, {**removed, **files})
    made = commits.commit(api, "Update the results [skip ci]", stored, head.sha)
    if made == head.sha:
        return None
    commits.move(api, branch, commits.reference(api, branch), made, force=True)
    number = _opened(api, pull, branch)
    if merge:
        api.send("PUT", f"pulls/{number}/merge", {"sha": made, "merge_method": "merge"}, once=True)
    return number


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
        "body": f"`dvc.lock` and `metrics/` as `dvc repro` made them of {pull.head.sha}.",
    }
    return int(api.send("POST", "pulls", body)["number"])
