"""Keys of params.yaml as the arguments of a function or class that a task defines."""

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NotRequired

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from lab.base.errors import ParamsError, TaskError, shortened
from lab.base.params import PARAMS_FILE
from lab.base.problems import described


def checked_arguments(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    location: Sequence[str],
    *,
    supplied: Collection[str],
    known: Collection[str],
) -> dict[str, Any]:
    """The given keys as arguments, of the types that the signature names.

    Args:
        function: a function, or a class as its constructor.
        given: keys and values of params.yaml.
        location: where they stand there, for errors.
        supplied: parameters that do not come from params.yaml.
        known: other keys that may stand there, to guess what a misspelt one means.

    Raises:
        ParamsError: a key is unknown or missing, or a value is not of its type.
    """
    fields: dict[str, Any] = {}
    takes_any = False
    for name, parameter in signature(function).items():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
        elif name not in supplied and parameter.kind is not parameter.VAR_POSITIONAL:
            kind = Any if parameter.annotation is parameter.empty else parameter.annotation
            fields[name] = kind if parameter.default is parameter.empty else NotRequired[kind]
    config = ConfigDict(
        extra="allow" if takes_any else "forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
    )
    arguments = with_config(config)(TypedDict("arguments", fields))  # type: ignore[operator]
    try:
        # As JSON: there a list may stand for a tuple, which YAML does not have.
        found: dict[str, Any] = TypeAdapter(arguments).validate_json(json.dumps(given, default=str))
    except PydanticUserError as error:
        raise _unreadable(function, error) from error
    except ValidationError as error:
        problem = described(error, lambda _: [*fields, *known], location)
        raise ParamsError(f"{PARAMS_FILE}: {problem}") from None
    return found


def supplied_arguments(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Of some values those that the signature asks for by name."""
    return {name: values[name] for name in signature(function) if name in values}


def signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function, or of a class as its constructor.

    Raises:
        TaskError: they cannot be read.
    """
    try:
        return inspect.signature(function, eval_str=True).parameters
    except (NameError, TypeError, ValueError, SyntaxError) as error:
        raise _unreadable(function, error) from error


def _unreadable(function: Callable[..., Any], error: Exception) -> TaskError:
    where = (
        f"{getattr(function, '__module__', 'task')}.{getattr(function, '__qualname__', function)}"
    )
    said = shortened(str(error), 160)
    return TaskError(f"{where}: the types of its parameters cannot be read: {said}; correct them")
