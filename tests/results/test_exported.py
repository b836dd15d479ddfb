"""What a reader is told of an export."""

import pytest

from lab.results.comparison import ModelDifference
from lab.results.exported import Exported, Form, Measured
from lab.results.schema import ACCURACY, Score
from lab.verdict.verdicts import Verdict

NATS = Score(name="log_loss", unit="nats", higher_is_better=False)


def difference(verdict: Verdict) -> ModelDifference:
    return ModelDifference(
        candidate="model", baseline="relu_8", estimate=0.0, interval=None, images=None,
        p_value=None, p_holm=None, smallest_detectable=None, correlation=None, is_paired=True,
        verdict=verdict,
    )  # fmt: skip


def measured(
    flips: int = 0, score: float = 0.97, verdict: Verdict | None = Verdict.EQUIVALENT, gap=0.01
):
    return Measured(
        largest_difference=gap, flips=flips, predictions=30_000, score=score,
        difference=verdict and difference(verdict),
    )  # fmt: skip


def form(found: Measured | None, reason: str | None = None, size: int | None = 408_253) -> Form:
    return Form(sha256=None if reason else "0" * 64, bytes=size, measured=found, reason=reason)


@pytest.mark.parametrize(
    ("metric", "given", "line"),
    [
        (ACCURACY, form(measured()),
         "408,253 bytes, 0 of 30,000 predictions differ, accuracy +0 pp, equivalent"),
        (ACCURACY, form(measured(1_234, 0.9688)),
         "408,253 bytes, 1,234 of 30,000 predictions differ, accuracy -0.12 pp, equivalent"),
        (ACCURACY, form(measured(verdict=None)),
         "408,253 bytes, 0 of 30,000 predictions differ, accuracy +0 pp (mean of all)"),
        (ACCURACY, form(measured(1, 0.9701, Verdict.CANNOT_TELL, 1e-6)),
         "408,253 bytes, 1 of 30,000 predictions differ, accuracy +0.01 pp, equivalent"),
        (ACCURACY, form(measured(0, 0.97 - 1e-16)),
         "408,253 bytes, 0 of 30,000 predictions differ, accuracy +0 pp, equivalent"),
        (NATS, form(measured(score=0.98)),
         "408,253 bytes, 0 of 30,000 predictions differ, log_loss +0.01 nats, equivalent"),
        (ACCURACY, form(measured(9, 0.9, Verdict.REGRESSED), "not equivalent"),
         "not exported: not equivalent (408,253 bytes, 9 of 30,000 predictions differ, "
         "accuracy -7 pp, regressed)"),
        (ACCURACY, form(None, "too large", None), "not exported: too large"),
    ],
)  # fmt: skip
def test_a_form_is_a_line(metric, given, line):
    found = Exported(
        schema_version=1, model="relu_8", seed=0, metric=metric, margin=0.01, trained=0.97,
        forms={"model": given}, reason=None,
    )  # fmt: skip

    assert found.lines() == [f"model: {line}"]
    assert Exported.model_validate_json(found.model_dump_json()) == found


def test_without_a_graph_the_reason_is_the_line():
    found = Exported(
        schema_version=1, model="relu_8", seed=0, metric=ACCURACY, margin=0.01, trained=0.97,
        forms={}, reason="no graph",
    )  # fmt: skip

    assert found.lines() == ["relu_8: not exported: no graph"]
