"""The variables of the repository at GitHub, read forgivingly; what is wrong with them is said.

It needs Python alone: `make machine` runs it before any package is installed.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.base.errors import LabError, shortened
from lab.base.mlflow_ui import commit_page
from lab.base.remote import dagshub_host, dagshub_repository

Machine = str | list[str] | dict[str, Any]  # what `runs-on` takes

GITHUBS_MACHINE = "ubuntu-24.04"
LABEL = re.compile(r"""\s*(?:(["'])(?P<quoted>[^"'\[\]{},]+)\1|(?P<bare>[\w.:@/+-]+))\s*""")
MAX_LABEL = 256  # characters; GitHub's own limit
YES, NO = ("yes", "true", "1", "on"), ("no", "false", "0", "off", "")


def machine(value: str) -> Machine:
    """The machine that `RUNS_ON` names; GitHub's where it is empty.

    >>> machine("lab"), machine('"lab"'), machine('["self-hosted", "gpu"]'), machine(" a, b ")
    ('lab', 'lab', ['self-hosted', 'gpu'], ['a', 'b'])

    Raises:
        LabError: it names none.
    """
    text = value.strip()
    if not text:
        return GITHUBS_MACHINE
    if text.startswith("{"):
        return _group(text)
    is_list = text.startswith("[") and text.endswith("]")
    labels = [LABEL.fullmatch(part) for part in (text[1:-1] if is_list else text).split(",")]
    found = [(one["quoted"] or one["bare"]).strip() for one in labels if one]
    if len(found) < len(labels) or not all(1 <= len(one) <= MAX_LABEL for one in found):
        raise _fault("RUNS_ON", "must be a label, or labels with commas between them", value)
    return found if is_list or len(found) > 1 else found[0]


def _group(text: str) -> dict[str, Any]:
    """A group of machines, as GitHub has it for organisations."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = {}
    texts = [given.get("group"), *_listed(given.get("labels", []))]
    if not {"group"} <= {*given} <= {"group", "labels"} or not all(
        isinstance(one, str) and one.strip() for one in texts
    ):
        raise _fault("RUNS_ON", 'must be a label, labels, or {"group": "name"}', text)
    return dict(given)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def offers(value: str) -> str:
    """What `OFFER_RESULTS` asks for: `no`, `yes` or `merge`.

    Raises:
        LabError: it is none of the words for these.
    """
    word = value.strip().strip("\"'").lower()
    if word == "merge":
        return "merge"
    if word not in (*YES, *NO):
        raise _fault("OFFER_RESULTS", "must be yes, merge or no", value)
    return "yes" if word in YES else "no"


def are_offered(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether results are offered at all; a value that means nothing offers none."""
    try:
        return offers(environment.get("OFFER_RESULTS", "")) != "no"
    except LabError:
        return False


def repository(environment: Mapping[str, str] = os.environ) -> str:
    """`owner/name` of `DAGSHUB_REPO`; empty when it is not set.

    Raises:
        LabError: it names no repository of DagsHub.
    """
    value = environment.get("DAGSHUB_REPO", "")
    return dagshub_repository(value, environment) if value.strip() else ""


def experiment(environment: Mapping[str, str] = os.environ) -> str:
    """The number in `MLFLOW_EXPERIMENT_ID`; empty when it is not set.

    Raises:
        LabError: it is no number.
    """
    value = environment.get("MLFLOW_EXPERIMENT_ID", "")
    number = value.strip().strip("\"'")
    if number and not re.fullmatch("[0-9]{1,30}", number):
        raise _fault(
            "MLFLOW_EXPERIMENT_ID", "must be the number in the experiment's address", value
        )
    return number


def runs_of(commit: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Where the runs of a commit of this repository's own are mirrored, if they are.

    Among all others, unless it is known which experiment they are in.
    """
    try:
        if not (found := repository(environment)):
            return None
    except LabError:
        return None
    server = f"{dagshub_host(environment)}/{found}.mlflow"
    try:
        number = experiment(environment)
    except LabError:
        return server
    return commit_page(server, number, commit) if number else server


def faults(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What is wrong with the variables, a line each: name, rule, the value got, what to do."""
    checks: Sequence[Callable[[], object]] = (
        lambda: machine(environment.get("RUNS_ON", "")),
        lambda: repository(environment),
        lambda: experiment(environment),
        lambda: offers(environment.get("OFFER_RESULTS", "")),
    )
    return [fault for check in checks if (fault := _fault_of(check))]


def _fault_of(check: Callable[[], object]) -> str | None:
    try:
        check()
    except LabError as error:
        return str(error)
    return None


def _fault(name: str, rule: str, value: str) -> LabError:
    got = shortened(repr(value), 60)
    return LabError(f"{name}: {rule}; got {got}; correct it in the repository's variables")


def main() -> None:
    """Tells GitHub which machine trains; with a fault, its own one does, and the log says so."""
    value = os.environ.get("RUNS_ON", "")
    try:
        found = machine(value)
    except LabError as error:
        found = GITHUBS_MACHINE
        print(f"{error}; GitHub's machine is used instead", flush=True)
    line = f"runs-on={json.dumps(found)}\n"
    print(line, end="", flush=True)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(line)


if __name__ == "__main__":
    main()
