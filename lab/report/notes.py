"""What a workflow may add to a report; nothing else it says reaches the page."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from lab.base.records import Record
from lab.evidence.schema import Text

MOST_NOTES = 10
_ADDRESS = r"https://[A-Za-z0-9.:-]{1,100}(/[A-Za-z0-9_.~-]{1,100}){0,12}/?"
PICTURES_URL = re.compile(_ADDRESS)

Address = Annotated[str, StringConstraints(pattern=f"^{_ADDRESS}$")]
# Of MLflow's server, whose pages stand behind a #; one on this machine may do without https.
_RUNS = rf"({_ADDRESS}|http://[A-Za-z0-9.:-]{{1,100}}/?)(#/experiments/[0-9]{{1,30}}/runs\?[A-Za-z0-9_.=&%-]{{1,300}})?"
RunsAddress = Annotated[str, StringConstraints(pattern=f"^{_RUNS}$")]
Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,39}(\[bot\])?$")]


class Notes(Record):
    """What a workflow adds: the run that measured, MLflow's runs, who accepted a loss, free lines.

    `is_checked` says that the default branch's side set the evidence against git.
    """

    run_url: Address | None = None
    runs_url: RunsAddress | None = None
    overridden_by: Login | None = None
    is_checked: bool = False
    texts: Annotated[list[Text], Field(max_length=MOST_NOTES)] = Field(default_factory=list)
