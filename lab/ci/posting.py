"""What is posted to a pull request: the one comment."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from lab.ci import cml
from lab.ci.github import Api, GitHubError
from lab.report.document import (
    Block,
    Bullets,
    Line,
    Link,
    Page,
    Paragraph,
    Preformatted,
    Strong,
    Untrusted,
)
from lab.report.markdown import markdown
from lab.report.page import MARKER, TITLE

BOT = "github-actions[bot]"  # who comments with a workflow's own token
COMMENT_PAUSES_SECONDS = (0.0, 2.0, 10.0)


def no_report(sha: str, blocks: Sequence[Block], run_url: str | None) -> str:
    """The comment where there is nothing to compare; `blocks` say why."""
    line: Line = ["✕ ", Strong("No report"), " of ", Untrusted(sha[:12]), "."]
    links = [Bullets([[Link("The run", run_url), "."]])] if run_url else []
    return markdown(Page(MARKER, TITLE, (Paragraph(line), *blocks, *links)), None)


def waiting(sha: str, branch: str) -> str:
    """The comment from when a pull request got another base until it is measured against that."""
    commit, base = Untrusted(sha[:12]), Untrusted(branch)
    line: Line = ["… ", Strong("No report yet"), ": ", commit, " goes into ", base, " now."]
    again: Line = ["It is being measured against it; what was said here was of another base."]
    return markdown(Page(MARKER, TITLE, (Paragraph(line), Paragraph(again))), None)


def conflicts(sha: str, branch: str) -> str:
    """The comment where GitHub starts no run, and how to go on."""
    what = Untrusted(branch)
    line: Line = ["✕ ", Strong("No report"), " of ", Untrusted(sha[:12]), ": "]
    blocks = (
        Paragraph([*line, "it has conflicts with ", what, ", so GitHub starts no run."]),
        Paragraph(
            [
                "Where they are in dvc.lock and metrics/, nobody has to resolve them by hand: this "
                "merges, and makes those files again, out of DVC's cache as far as it has them."
            ]
        ),
        Preformatted(("git fetch origin", "make merge WITH=origin/<the branch above>", "git push")),
    )
    return markdown(Page(MARKER, TITLE, blocks), None)


def comment(api: Api, server: str, number: int, text: str) -> None:
    """Makes or edits the one comment, through CML where that is there and would do right.

    Raises:
        GitHubError: the comment may not be written, or GitHub cannot be reached.
    """
    by_cml = cml.is_installed()
    last = len(COMMENT_PAUSES_SECONDS) - 1
    for turn, pause in enumerate(COMMENT_PAUSES_SECONDS):
        time.sleep(pause)
        own = own_comment(comments := _comments(api, number))  # anew: the last try may be there
        try:
            if by_cml and turn < last and cml.choice(comments) == own:
                cml.comment(f"{server}/{api.repository}", api.token, number, text)
            else:
                _write(api, number, own, text)
        except cml.CmlError as error:
            print(error, flush=True)
        except GitHubError as error:
            if not error.may_pass or turn == last:
                raise
        else:
            return


def replace(api: Api, number: int, text: str) -> None:
    """Edits the comment where there is one already.

    Raises:
        GitHubError: it may not be written, or GitHub cannot be reached.
    """
    own = own_comment(_comments(api, number))
    if own is not None:
        _write(api, number, own, text)


def own_comment(comments: Sequence[Mapping[str, Any]]) -> int | None:
    """The id of the report among comments: what others write in its form is not it."""
    own = [
        int(one["id"])
        for one in comments
        if (one.get("user") or {}).get("login") == BOT
        and (one.get("body") or "").startswith(f"<!-- {MARKER} -->")
    ]
    return own[-1] if own else None


def _comments(api: Api, number: int) -> list[dict[str, Any]]:
    return list(api.pages(f"issues/{number}/comments"))


def _write(api: Api, number: int, own: int | None, text: str) -> None:
    if own is None:
        api.send("POST", f"issues/{number}/comments", {"body": text}, once=True)
    else:
        api.send("PATCH", f"issues/comments/{own}", {"body": text})
