"""Scores that a task declares, and what becomes of functions that fail."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pytest
from samples import scored_examples
from support import is_one_line

from lab.base.errors import DataError, ParamsError
from lab.base.params import CompareParams
from lab.results import scores
from lab.results.schema import ACCURACY, BUILT_IN
from lab.results.scores import Metric, Scored, metric

# --- declarations --------------------------------------------------------------------------------


def declared(function, unit="%", higher_is_better=True) -> Metric:
    return metric(unit=unit, higher_is_better=higher_is_better)(function)


def own_file() -> ModuleType:
    """`task/metrics.py`, which is that of the tiny task here."""
    return importlib.import_module("task.metrics")


def test_all_scores_of_the_file_are_found_in_its_order():
    assert [one.score.name for one in scores.own_metrics()] == ["log_loss", "macro_f1"]


@pytest.mark.parametrize("unit", ["percent ", "a b", "<b>", "x" * 13, 1, None, "ü", "%%"])
def test_a_unit_is_percent_or_one_word(unit):
    with pytest.raises(ValueError, match="score: unit"):
        declared(score, unit)


@pytest.mark.parametrize("name", ["MacroF1", "_x", "a" * 41, "<lambda>", "é"])
def test_names_that_a_page_could_not_show_are_refused(name):
    def function(*_given):
        return 0.0

    function.__name__ = name
    with pytest.raises(ValueError, match="name: "):
        declared(function)


def score(*_given):
    return 0.5


def refused(monkeypatch, **names) -> str:
    metrics = own_file()
    for name in [name for name, value in vars(metrics).items() if isinstance(value, Metric)]:
        monkeypatch.delattr(metrics, name)
    for name, value in names.items():
        monkeypatch.setattr(metrics, name, value, raising=False)
    with pytest.raises(DataError) as caught:
        scores.own_metrics()
    assert is_one_line(str(caught.value))
    return str(caught.value)


def test_a_name_stands_for_one_score(monkeypatch):
    def accuracy(*_given):
        return 0.0

    assert refused(monkeypatch, own=declared(accuracy)) == (
        "task/metrics.py: accuracy: there is such a score already; rename it"
    )
    assert "score: there is such" in refused(monkeypatch, a=declared(score), b=declared(score))


def test_more_scores_than_a_page_can_show_are_refused(monkeypatch):
    many = {}
    for number in range(48):
        function = lambda *_given: 0.0  # noqa: E731
        function.__name__ = f"score_{number}"
        many[function.__name__] = declared(function)

    assert "at most 50 scores; got 51" in refused(monkeypatch, **many)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("1 / 0", "cannot be imported (ZeroDivisionError: division by zero); correct it"),
        ("import nothing_here", "cannot be imported (ModuleNotFoundError: No module named"),
        ("raise SystemExit", "cannot be imported (SystemExit); correct it"),
        ("def f(:", "cannot be imported (SyntaxError: "),
        (None, "no such file; add it"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path, monkeypatch, code, problem):
    (tmp_path / "task").mkdir()
    if code is not None:
        (tmp_path / "task/metrics.py").write_text(code, encoding="utf-8")
    own_file()
    monkeypatch.setattr(scores, "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules["task"], "__path__", [str(tmp_path / "task")])
    monkeypatch.delattr(sys.modules["task"], "metrics")
    monkeypatch.delitem(sys.modules, "task.metrics")
    with pytest.raises(DataError) as caught:
        scores.own_metrics()

    assert str(caught.value).startswith(f"task/metrics.py: {problem}")
    assert is_one_line(str(caught.value))


# --- values --------------------------------------------------------------------------------------


def computed(function, monkeypatch=None):
    probabilities, _, labels = scored_examples(10, 20)
    given = Scored(np.stack([probabilities] * 2), labels)
    return scores.spreads([declared(function)], "relu_8, test", [3, 4], given)


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "one beyond 1e+18"),
        (np.float32("nan"), "NaN"),
        (1e19, "one beyond 1e+18"),
        pytest.param(-(10**5000), "one beyond 1e+18", id="huge"),
        (True, "a value of type bool"),
        (None, "a value of type NoneType"),
        ("0.5", "a value of type str"),
        (np.array(0.5), "a value of type ndarray"),
        (np.zeros(3), "a value of type ndarray"),
        (1 + 2j, "a value of type complex"),
        (Hostile(), "a value of type Hostile"),
    ],
)
def test_what_is_no_finite_number_is_one_line(value, got):
    def own(*_given):
        return value

    with pytest.raises(DataError) as caught:
        computed(own)

    text = str(caught.value)
    assert text.startswith(
        "task/metrics.py: own: relu_8, test, seed 3: must return one finite number; got "
    )
    assert f"got {got}" in text
    assert text.endswith("; correct the function")
    assert is_one_line(text)


@pytest.mark.parametrize("error", [LookupError("a\nb"), SystemExit(3), AssertionError()])
def test_a_function_that_raises_is_one_line(error):
    def own(*_given):
        raise error

    with pytest.raises(DataError, match=r"own: relu_8, test, seed 3: raised \w+") as caught:
        computed(own)
    assert is_one_line(str(caught.value))


@pytest.mark.parametrize("index", range(3))
def test_a_function_cannot_change_what_the_next_one_gets(index):
    def own(*given):
        given[index][:] = 0
        return 0.0

    with pytest.raises(DataError, match="read-only"):
        computed(own)


@pytest.mark.parametrize("value", [1, np.int64(1), np.float32(1), 1.0])
def test_numbers_of_all_kinds_are_taken(value):
    def own(*_given):
        return value

    assert computed(own)["own"].per_seed == [1.0, 1.0]


def test_a_training_goes_on_without_scores_that_fail(monkeypatch, capsys):
    def own(*_given):
        return "much"

    monkeypatch.setattr(own_file(), "own", declared(own), raising=False)
    probabilities, _, labels = scored_examples(10, 20)
    found = scores.if_possible("a", [0], {"test": Scored(probabilities[None], labels)})

    assert found == {}
    said = capsys.readouterr().err
    assert said.startswith("task/metrics.py: own: a, test, seed 0: must return one finite number")
    assert said.endswith("; a is complete, its own scores are not recorded\n")
    assert said.count("\n") == 1


# --- what is judged ------------------------------------------------------------------------------


def test_the_score_that_params_name_is_found_or_what_was_meant_is_said():
    known = scores.declared(scores.own_metrics())

    assert scores.judged(CompareParams(margin=0.1), known) == ACCURACY
    assert scores.judged(CompareParams(margin=2, metric="loss"), known) == BUILT_IN[1]
    with pytest.raises(ParamsError, match=r"metric: .*got macro_f; did you mean macro_f1\?"):
        scores.judged(CompareParams(margin=0.1, metric="macro_f"), known)
    with pytest.raises(ParamsError, match="use one of accuracy, loss, "):
        scores.judged(CompareParams(margin=0.1, metric="\n%"), known)
    with pytest.raises(ParamsError, match="must be a fraction below 1, as macro_f1 is one; got 2;"):
        scores.judged(CompareParams(margin=2, metric="macro_f1"), known)
