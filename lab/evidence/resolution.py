"""Whether verdicts that are open are resolved by more seeds, and by which."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["never", "cheap", "always"]


@dataclass(frozen=True)
class Resolution:
    """Never, when it takes no longer than `lab.evidence.trials.RESOLVE_SECONDS`, or always.

    `fresh_from` is the id of a workflow's run, from which the seeds are drawn; None goes on after
    the committed ones. `confirmation` counts the runs of a pull request, this one included.
    """

    mode: Mode = "never"
    fresh_from: int | None = None
    confirmation: int | None = None


NOT_RESOLVED = Resolution()
