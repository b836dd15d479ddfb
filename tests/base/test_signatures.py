import functools
from typing import Any

import pytest

from lab.base.errors import ParamsError, TaskError
from lab.base.signatures import checked_arguments, supplied_arguments


def function(
    given: str,
    copy: int,
    *rest: int,
    model_x: float = 1.0,
    size: tuple[int, int] = (1, 2),
    free=None,
) -> None: ...


def takes_any(given: str, width: int, **others: Any) -> None: ...


def check(called: Any, **given: object) -> dict[str, object]:
    return checked_arguments(
        called, given, ["models", "m"], supplied=("given",), known=("patience",)
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"copy": 3}, {"copy": 3}),
        ({"copy": 3, "model_x": 2}, {"copy": 3, "model_x": 2.0}),
        ({"copy": 3, "size": [4, 5]}, {"copy": 3, "size": (4, 5)}),
        ({"copy": 3, "free": {"a": [1]}}, {"copy": 3, "free": {"a": [1]}}),
    ],
)
def test_arguments_are_of_the_types_that_the_signature_names(given: dict, found: dict) -> None:
    assert check(function, **given) == found
    assert check(functools.partial(function), **given) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "models.m.copy: missing key; add it"),
        ({"copy": True}, "models.m.copy: must be a whole number; got True; correct the value"),
        ({"copy": 1.5}, "models.m.copy"),
        ({"copy": 1, "model_x": float("nan")}, "models.m.model_x: must be a finite number"),
        ({"copy": 1, "model_x": "fast"}, "models.m.model_x: must be a number; got 'fast'"),
        ({"copy": 1, "size": [1]}, "models.m.size.1: missing key; add it"),
        ({"copy": 1, "size": [1, 2, 3]}, "models.m.size"),
        ({"copy": 1, "given": 2}, "models.m.given: unknown key"),
        ({"copy": 1, "rest": [2]}, "models.m.rest: unknown key"),
        (
            {"copy": 1, "pateince": 2},
            "models.m.pateince: unknown key; got 2; did you mean patience?",
        ),
        ({"copie": 1}, "models.m.copie: unknown key; got 1; did you mean copy? (and 1 more)"),
    ],
)
def test_a_slip_names_key_rule_value_and_remedy(given: dict, said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        check(function, **given)

    assert str(caught.value).startswith(f"params.yaml: {said}")


def test_a_function_that_takes_any_keys_gets_them() -> None:
    assert check(takes_any, width=1, colour="red") == {"width": 1, "colour": "red"}


def test_only_what_is_asked_for_is_supplied() -> None:
    assert supplied_arguments(function, {"given": "x", "other": 1}) == {"given": "x"}


def unknown(given: str, width: "Nowhere") -> None: ...  # noqa: F821


def odd(given: str, width: "int | 3") -> None: ...


@pytest.mark.parametrize("called", [unknown, odd, 3])
def test_a_signature_that_cannot_be_read_is_one_line(called: Any) -> None:
    with pytest.raises(TaskError, match=r"the types of its parameters cannot be read: .*; correct"):
        check(called, width=1)


class Own:
    pass


def takes_own(given: str, width: Own) -> None: ...


def test_a_type_that_no_value_of_a_file_has_is_one_line() -> None:
    with pytest.raises(ParamsError, match=r"models\.m\.width: "):
        check(takes_own, width=1)
