"""All rules about the structure of data, in one go."""

from collections.abc import Callable, Iterable

from lab.base.params import CheckRules
from lab.checking import classes, duplicates, values
from lab.checking.drift import drift
from lab.checking.neighbours import Neighbours, closest, compared, near_duplicates, neighbours
from lab.checking.portions import Checked
from lab.checking.shortcuts import shortcuts
from lab.results.checks import (
    FORMAT,
    MAX_FAULTS,
    CheckResults,
    Closest,
    Fault,
    Finding,
    PortionSummary,
)

OF_TRAINING = ("shortcuts",)  # rules that say nothing of new data


def check(checked: Checked, rules: CheckRules, broken: Iterable[Fault] = ()) -> CheckResults:
    """Asks every rule that is not off.

    Args:
        checked: the splits, or new data beside them.
        rules: what becomes of each that is broken.
        broken: what kept new data, or some of them, from being read.
    """
    levels = rules.model_dump()
    if not all(map(len, checked.judged)):  # nothing could be read
        return _results(checked, [_finding(FORMAT, "stop", broken)], [])
    is_row = checked.description.kind == "row"
    is_asked = {name: level != "off" for name, level in levels.items()}
    ranges = {}
    if is_asked["values"] or is_asked["constant"]:
        ranges = {one.name: values.ranges(one, is_row) for one in (checked.train, *checked.judged)}
    repeated = None
    if is_asked["duplicates"] or is_asked["leakage"] or is_asked["contradictions"]:
        repeated = duplicates.repeated(checked)
    near: list[Neighbours] = []
    limit = 0.0
    if is_asked["near_duplicates"]:
        near, limit = neighbours(checked)
    asks: dict[str, Callable[[], Iterable[Fault]]] = {
        "values": lambda: values.values(checked, ranges),
        "constant": lambda: values.constant(checked, ranges),
        "missing_classes": lambda: classes.missing_classes(checked),
        "class_balance": lambda: classes.class_balance(checked),
        "near_duplicates": lambda: near_duplicates(checked, near, limit),
        "shortcuts": lambda: shortcuts(checked),
        "drift": lambda: drift(checked),
    }
    if repeated is not None:
        asks |= {
            "leakage": lambda: duplicates.leakage(checked, repeated),
            "duplicates": lambda: duplicates.duplicates(checked, repeated),
            "contradictions": lambda: duplicates.contradictions(checked, repeated),
        }
    findings = []
    if checked.beside:
        findings.append(_finding(FORMAT, "stop", broken))
    for rule, level in levels.items():
        if is_asked[rule] and not (checked.beside and rule in OF_TRAINING):
            findings.append(_finding(rule, level, asks[rule]()))
    return _results(checked, findings, closest(near))


def _results(checked: Checked, findings: list[Finding], nearest: list[Closest]) -> CheckResults:
    return CheckResults(
        schema_version=1,
        name=checked.description.name,
        portions=[
            PortionSummary(name=one.name, examples=len(one), compared=compared(one))
            for one in (checked.train, *checked.judged)
        ],
        findings=findings,
        closest=nearest,
    )


def _finding(rule: str, level: str, faults: Iterable[Fault]) -> Finding:
    listed = list(faults)
    more = len(listed[MAX_FAULTS:])
    return Finding.model_validate(
        {"rule": rule, "level": level, "faults": listed[:MAX_FAULTS], "more": more}
    )
