"""The numbers that README.md shows are those of `metrics/`."""

import json
import re

import pytest

from lab.results.comparison import Comparison
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", ["relu_128", "linear_64"])
def test_the_baseline_of_the_report_shown_is_the_one_in_metrics(model):
    accuracy = json.loads((ROOT / f"metrics/runs/{model}.json").read_bytes())["test"]["accuracy"]
    mean, deviation = (f"{100 * accuracy[key]:.2f}" for key in ("mean", "sd"))

    assert re.search(rf"^{model} +{mean} ± {deviation} ", README, re.MULTILINE)


def test_the_result_shown_is_the_result_in_metrics():
    found = Comparison.model_validate_json((ROOT / "metrics/comparison.json").read_bytes())

    assert (
        f"chosen by validation accuracy: {found.chosen.model} (seed {found.chosen.seed}" in README
    )
    assert found.differences[0].sentence(found.metric.unit) in README
