"""What is posted to a pull request: the one comment, and the check run."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from lab.base.records import Record
from lab.ci import cml
from lab.ci.github import Api, GitHubError
from lab.ci.pulls import WorkflowRun
from lab.evidence.schema import Commit
from lab.report.document import Bullets, Link, Page, Paragraph, Strong, Untrusted
from lab.report.judgement import Judgement
from lab.report.markdown import markdown
from lab.report.page import MARKER, TITLE

BOT = "github-actions[bot]"  # who comments with a workflow's own token
COMMENT_PAUSES_SECONDS = (0.0, 2.0, 10.0)

Conclusion = Literal["success", "neutral", "failure"]


class Post(Record):
    """What is to be posted to a pull request; the comment's text lies beside it."""

    number: Annotated[int, Field(ge=1)]
    head_sha: Commit
    conclusion: Conclusion
    summary: Annotated[str, StringConstraints(max_length=2_000)]


def conclude(judgement: Judgement, overridden_by: str | None) -> Conclusion:
    """What the check run says of a judgement."""
    if not judgement.passes:
        return "neutral" if overridden_by else "failure"
    return "success" if judgement.is_certain else "neutral"


def no_report(run: WorkflowRun, reason: str) -> str:
    """The comment where there is nothing to compare."""
    blocks = (
        Paragraph(["✕ ", Strong("No report"), " of ", Untrusted(run.head_sha[:12]), "."]),
        Bullets([[Untrusted(reason)], [Link("The run", run.html_url), "."]]),
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
        comments = list(api.pages(f"issues/{number}/comments"))  # anew: the last try may be there
        own = own_comment(comments)
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


def own_comment(comments: Sequence[Mapping[str, Any]]) -> int | None:
    """The id of the report among comments: what others write in its form is not it."""
    own = [
        int(one["id"])
        for one in comments
        if (one.get("user") or {}).get("login") == BOT
        and (one.get("body") or "").startswith(f"<!-- {MARKER} -->")
    ]
    return own[-1] if own else None


def _write(api: Api, number: int, own: int | None, text: str) -> None:
    if own is None:
        api.send("POST", f"issues/{number}/comments", {"body": text}, once=True)
    else:
        api.send("PATCH", f"issues/comments/{own}", {"body": text})


def check(api: Api, server: str, post: Post) -> None:
    """Sets the check run, through CML where that is there.

    Raises:
        GitHubError: it may not be set, or GitHub cannot be reached.
    """
    if cml.is_installed():
        content = post.head_sha, post.conclusion, post.summary
        try:
            cml.check(f"{server}/{api.repository}", api.token, *content)
        except cml.CmlError as error:
            print(error, flush=True)
        else:
            return
    body = {
        "name": cml.TITLE,
        "head_sha": post.head_sha,
        "status": "completed",
        "conclusion": post.conclusion,
        "output": {"title": cml.TITLE, "summary": post.summary},
    }
    api.send("POST", "check-runs", body)
