"""A breach of a pydantic model as one line: key, rule, value got, what to do."""

import difflib
from collections.abc import Callable, Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lab.base.errors import shortened

_RULES = {
    "extra_forbidden": "unknown key",
    "missing": "missing key",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
}

KeysBeside = Callable[[Sequence[str]], Iterable[str]]  # the keys allowed where an unknown one is


def described(error: ValidationError, keys_beside: KeysBeside, prefix: Sequence[str] = ()) -> str:
    """The problem that helps most, and how many more there are.

    Args:
        error: what pydantic raised.
        keys_beside: takes the location of an unknown key.
        prefix: where in the file the model lies.
    """
    # A misspelt key is also a missing one; only the first of the two helps.
    problems = sorted(
        error.errors(include_url=False),
        key=lambda problem: problem["type"] != "extra_forbidden",
    )
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    location = [*prefix, *(str(part) for part in problems[0]["loc"])]
    return f"{_line(problems[0], location, keys_beside)}{more}"


def _line(problem: ErrorDetails, location: list[str], keys_beside: KeysBeside) -> str:
    is_key_problem = bool(location) and location[-1] == "[key]"
    key = ".".join(location[:-1] if is_key_problem else location) or "top level"
    kind = problem["type"]
    if kind == "value_error":
        said = str(problem["ctx"]["error"])
        return f"{key}: {said}" if key != "top level" else said
    if is_key_problem:
        rule = "a model's name takes letters, digits, _ and - (64 at most)"
        return f"{key}: {rule}; got {shortened(repr(problem['input']), limit=60)}; rename it"
    rule = _RULES.get(kind, problem["msg"][0].lower() + problem["msg"][1:])
    if kind == "missing":
        return f"{key}: missing key; add it"
    got = shortened(repr(problem["input"]), limit=60)
    advice = "correct the value"
    if kind == "extra_forbidden":
        advice = advice_on_unknown(location[-1], keys_beside(location))
    return f"{key}: {rule}; got {got}; {advice}"


def advice_on_unknown(name: str, known: Iterable[str]) -> str:
    """What to do about a name that nothing has.

    >>> advice_on_unknown("hiden", ["hidden", "dropout"])
    'did you mean hidden?'
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "remove it"
