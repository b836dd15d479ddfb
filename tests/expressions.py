"""GitHub's expressions and which jobs a workflow runs, as far as this repository's files use them.

Anything else is an error, so that a file cannot use what is not evaluated here. Source:
https://docs.github.com/en/actions/reference/workflows-and-actions/expressions, and for the skipped
jobs that a job needs https://github.com/actions/runner/issues/2205.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<string>'(?:[^']|'')*')"
    r"|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!().,*\[\]]))"
)
STATUS = {"success", "failure", "always", "cancelled"}
DEFAULT_TYPES = {
    "pull_request": ["opened", "synchronize", "reopened"],
    "pull_request_target": ["opened", "synchronize", "reopened"],
    "merge_group": ["checks_requested"],
}

Functions = Mapping[str, Callable[..., Any]]


class ExpressionError(ValueError):
    """The text is no expression, or one that is not evaluated here."""


def evaluate(text: str, contexts: Mapping[str, Any], functions: Functions | None = None) -> Any:
    """The value of an expression, without its `${{ }}`.

    Args:
        text: the expression.
        contexts: by name, those that GitHub has at this place.
        functions: those of a job's or a step's status, and `hashFiles`.
    """
    parser = _Parser(text, contexts, {**_FUNCTIONS, **(functions or {})})
    value = parser.either()
    parser.expect_end()
    return value


def interpolate(value: Any, contexts: Mapping[str, Any], functions: Functions | None = None) -> Any:
    """A value of a workflow file with the expressions in it evaluated."""
    if isinstance(value, Mapping):
        return {key: interpolate(one, contexts, functions) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolate(one, contexts, functions) for one in value]
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\s*\$\{\{((?:(?!\$\{\{).)*)\}\}\s*", value, re.DOTALL):
        return evaluate(whole[1], contexts, functions)
    found = re.sub(
        r"\$\{\{(.*?)\}\}",
        lambda one: _text(evaluate(one[1], contexts, functions)),
        value,
        flags=re.DOTALL,
    )
    if "${{" in found:
        raise ExpressionError(f"an expression without an end: {value}")
    return found


def is_true(value: Any) -> bool:
    """Whether GitHub takes a value for true: objects and lists always are."""
    return isinstance(value, dict | list) or (bool(value) and not _is_nan(value))


# --- which jobs run ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Happened:
    """An event at GitHub, and what the repository has set."""

    name: str
    event: Mapping[str, Any]
    github: Mapping[str, Any] = field(default_factory=dict)  # what else the context holds
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def contexts(self) -> dict[str, Any]:
        """The contexts of a whole run; a job has `needs` as well, a step the rest."""
        github = {"event_name": self.name, "event": self.event, "run_attempt": "1", **self.github}
        return {"github": github, "vars": self.variables, "inputs": self.inputs}


@dataclass(frozen=True)
class Job:
    """A job that ran or was skipped; `outputs` and `result` are what the caller said of it."""

    result: str  # success, failure, cancelled or skipped
    name: str
    machine: Any = None
    outputs: Mapping[str, str] = field(default_factory=dict)


def starts(workflow: Mapping[str, Any], happened: Happened) -> bool:
    """Whether an event starts a run of a workflow."""
    triggers = workflow["on"]
    if happened.name not in triggers:
        return False
    if happened.name == "schedule":  # a list of times: the caller says when it is one
        return True
    filters = triggers[happened.name] or {}
    unknown = {*filters} - {"types", "branches", "workflows", "inputs"}
    if unknown:
        raise ExpressionError(f"filters that are not evaluated here: {sorted(unknown)}")
    action = happened.event.get("action")
    types = filters.get("types", DEFAULT_TYPES.get(happened.name))
    if types is not None and action not in types:
        return False
    if happened.name == "workflow_run":
        return happened.event["workflow_run"]["name"] in filters["workflows"]
    if "branches" in filters:
        ref = str(happened.github["ref"])
        branch = ref.removeprefix("refs/heads/")
        return branch != ref and any(_matches(branch, one) for one in filters["branches"])
    return True


def group(workflow: Mapping[str, Any], happened: Happened) -> tuple[str, bool]:
    """The concurrency group of a run, and whether the run cancels those under way in it."""
    concurrency = workflow["concurrency"]
    name = interpolate(concurrency["group"], happened.contexts)
    return _text(name), is_true(interpolate(concurrency["cancel-in-progress"], happened.contexts))


def jobs(
    workflow: Mapping[str, Any],
    happened: Happened,
    said: Mapping[str, tuple[str, Mapping[str, str]]] | None = None,
) -> dict[str, Job]:
    """What becomes of each job, by its key.

    Args:
        workflow: the file.
        happened: what started it.
        said: result and outputs of jobs that run; a job that is not named succeeds without outputs.
    """
    found: dict[str, Job] = {}
    waiting = dict(workflow["jobs"])
    while waiting:
        key = next(one for one in waiting if {*needed(waiting[one])} <= {*found})
        found[key] = _job(key, waiting.pop(key), workflow, happened, found, said or {})
    return found


def needed(job: Mapping[str, Any]) -> Sequence[str]:
    """The jobs that a job waits for."""
    names = job.get("needs", [])
    return [names] if isinstance(names, str) else list(names)


def _job(
    key: str,
    job: Mapping[str, Any],
    workflow: Mapping[str, Any],
    happened: Happened,
    before: Mapping[str, Job],
    said: Mapping[str, tuple[str, Mapping[str, str]]],
) -> Job:
    contexts = {
        **happened.contexts,
        "needs": {
            name: {"result": before[name].result, "outputs": before[name].outputs}
            for name in needed(job)
        },
    }
    results = [before[name].result for name in _ancestors(key, workflow["jobs"])]
    condition = str(job.get("if", "success()"))
    if not is_true(conditioned(condition, contexts, results)):
        return Job("skipped", str(job.get("name", key)))
    result, outputs = said.get(key, ("success", {}))
    machine = job["runs-on"] if "matrix" in job.get("strategy", {}) else None
    return Job(
        result,
        str(job.get("name", key))
        if machine
        else _text(interpolate(job.get("name", key), contexts)),
        machine or interpolate(job["runs-on"], contexts),
        outputs,
    )


def _ancestors(key: str, every: Mapping[str, Any]) -> set[str]:
    """All jobs that a job waits for, directly or not: a skipped one skips what follows it."""
    direct = {*needed(every[key])}
    return direct.union(*(_ancestors(one, every) for one in direct))


def conditioned(
    condition: str, contexts: Mapping[str, Any], results: Sequence[str], *, cancelled: bool = False
) -> Any:
    """The value of an `if` of a job or a step, after jobs or steps with these results."""
    functions = {
        "success": lambda: all(result == "success" for result in results) and not cancelled,
        "failure": lambda: "failure" in results and not cancelled,
        "cancelled": lambda: cancelled,
        "always": lambda: True,
    }
    text = re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", condition, flags=re.DOTALL)
    if "${{" in text:
        raise ExpressionError(f"an `if` is one expression, or it always holds: {condition}")
    if not re.search(rf"\b({'|'.join(STATUS)})\(", text):
        text = f"success() && ({text})"
    return evaluate(text, contexts, functions)


# --- expressions ---------------------------------------------------------------------------------


class _Parser:
    """By descent; `either` is the loosest operator. Both sides are always evaluated."""

    def __init__(self, text: str, contexts: Mapping[str, Any], functions: Functions) -> None:
        self.text, self.contexts, self.functions = text, contexts, functions
        self.tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            token = TOKEN.match(text, at)
            if token is None or token.lastgroup is None:
                raise ExpressionError(f"no expression: {text!r} at {at}")
            self.tokens.append((token.lastgroup, token[token.lastgroup]))
            at = token.end()
        self.tokens.append(("end", ""))

    def expect_end(self) -> None:
        if self.tokens[0][0] != "end":
            raise ExpressionError(f"{self.tokens[0][1]!r} is too much in {self.text!r}")

    def _taken(self, *signs: str) -> str | None:
        kind, text = self.tokens[0]
        if kind == "sign" and text in signs:
            self.tokens.pop(0)
            return text
        return None

    def _expect(self, sign: str) -> None:
        if not self._taken(sign):
            raise ExpressionError(f"{sign!r} is missing in {self.text!r}")

    def either(self) -> Any:
        value = self._both()
        while self._taken("||"):
            other = self._both()
            value = value if is_true(value) else other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._taken("&&"):
            other = self._compared()
            value = other if is_true(value) else value
        return value

    def _compared(self) -> Any:
        value = self._negated()
        while sign := self._taken("==", "!=", "<", "<=", ">", ">="):
            value = _compare(sign, value, self._negated())
        return value

    def _negated(self) -> Any:
        if self._taken("!"):
            return not is_true(self._negated())
        value = self._single()
        while sign := self._taken(".", "["):
            if sign == "[":
                key = self.either()
                self._expect("]")
            else:
                kind, key = self.tokens.pop(0)
                if key == "*":
                    value = _Filtered(value.values() if isinstance(value, Mapping) else value)
                    continue
                if kind != "name":
                    raise ExpressionError(f"{key!r} is no property in {self.text!r}")
            value = _property(value, key)
        return value

    def _single(self) -> Any:
        kind, text = self.tokens.pop(0)
        if kind == "number":
            return float(text)
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if (kind, text) == ("sign", "("):
            value = self.either()
            self._expect(")")
            return value
        if kind != "name":
            raise ExpressionError(f"a value is missing before {text!r} in {self.text!r}")
        if text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if self._taken("("):
            return self._called(text)
        if text not in self.contexts:
            raise ExpressionError(f"there is no context {text} here: {self.text!r}")
        return self.contexts[text]

    def _called(self, name: str) -> Any:
        arguments = []
        while not self._taken(")"):
            arguments.append(self.either())
            if self.tokens[0] != ("sign", ")"):
                self._expect(",")
        if name not in self.functions:
            raise ExpressionError(f"{name}() is not evaluated here: {self.text!r}")
        return self.functions[name](*arguments)


class _Filtered(list[Any]):
    """What `.*` makes of an object or a list: what follows is asked of each entry."""


def _property(value: Any, key: Any) -> Any:
    if isinstance(value, _Filtered):
        return _Filtered(_property(one, key) for one in value)
    if isinstance(value, Mapping):
        lower = {str(name).lower(): one for name, one in value.items()}
        return lower.get(str(key).lower())
    if isinstance(value, list) and isinstance(key, float) and 0 <= int(key) < len(value):
        return value[int(key)]
    return None


def _compare(sign: str, left: Any, right: Any) -> bool:
    """GitHub's loose comparison: text without regard to case, other types as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.lower(), right.lower()
    elif isinstance(left, Mapping | list) and isinstance(right, Mapping | list):
        return (left is right) == (sign == "==")
    elif not (left is None and right is None and sign in ("==", "!=")):
        left, right = _number(left), _number(right)
    return {
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "<": lambda: left < right,
        "<=": lambda: left <= right,
        ">": lambda: left > right,
        ">=": lambda: left >= right,
    }[sign]()


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return math.nan


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Mapping | list):
        return "Object" if isinstance(value, Mapping) else "Array"
    return str(value)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_compare("==", one, what) for one in where)
    return _text(what).lower() in _text(where).lower()


def _format(text: str, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda place: _text(values[int(place[1])]), text)


def _from_json(text: Any) -> Any:
    try:
        return json.loads(_text(text))
    except ValueError:
        raise ExpressionError(f"fromJSON fails the run: {_text(text)!r} is no JSON") from None


_FUNCTIONS: Functions = {
    "contains": _contains,
    "startsWith": lambda text, start: _text(text).lower().startswith(_text(start).lower()),
    "endsWith": lambda text, end: _text(text).lower().endswith(_text(end).lower()),
    "format": _format,
    "fromJSON": _from_json,
}


def _matches(branch: str, pattern: str) -> bool:
    """Of a filter: `**` is any branch, `*` any without a slash."""
    if pattern == "**":
        return True
    return fnmatchcase(branch, pattern) and ("/" not in branch or "/" in pattern)
