"""The pictures of a report, on a branch of their own."""

from collections.abc import Mapping

from lab.ci import commits
from lab.ci.github import Api, GitHubError

BRANCH = "report-pictures"
PUSH_TRIES = 5  # other reports may move the branch meanwhile


def publish(api: Api, server: str, sha: str, files: Mapping[str, bytes]) -> str | None:
    """Puts pictures on their own branch, in a folder named by the commit they are of.

    Returns:
        The address of that folder, which stays as it is for ever; None without any picture.

    Raises:
        GitHubError: they may not be written, or GitHub cannot be reached.
    """
    if not files:
        return None
    stored = commits.entries(api, {f"{sha}/{name}": content for name, content in files.items()})
    for left in reversed(range(PUSH_TRIES)):
        tip = commits.reference(api, BRANCH)
        made = commits.commit(api, f"Pictures of {sha}", stored, tip)
        try:
            commits.move(api, BRANCH, tip, made)
        except GitHubError as error:
            if error.status not in (409, 422) or not left:
                raise
        else:
            return f"{server}/{api.repository}/blob/{made}/{sha}"
    raise AssertionError("unreachable")
