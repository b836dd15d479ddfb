"""What a workflow may add to a report; nothing else it says reaches the page."""

import re
from typing import Annotated

from pydantic import Field, StringConstraints

from lab.base.records import Record
from lab.evidence.schema import Text

_ADDRESS = r"https://[A-Za-z0-9.:-]{1,100}(/[A-Za-z0-9_.~-]{1,100}){0,12}/?"
PICTURES_URL = re.compile(_ADDRESS)

Address = Annotated[str, StringConstraints(pattern=f"^{_ADDRESS}$")]
Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,39}(\[bot\])?$")]


class Notes(Record):
    """The run that made the report, MLflow's runs, who overrode a failing check, free lines."""

    run_url: Address | None = None
    runs_url: Address | None = None
    overridden_by: Login | None = None
    texts: Annotated[list[Text], Field(max_length=10)] = Field(default_factory=list)
