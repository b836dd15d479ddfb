"""The numbers that README.md shows are those of `metrics/`."""

import json
import re
import subprocess

import pytest

from lab.results.comparison import Comparison
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def versions(path):
    """As the last commit has it, and as it lies here: a run on another processor differs a bit."""
    committed = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True)
    return [content for content in (committed.stdout, (ROOT / path).read_bytes()) if content]


def shown(content):
    accuracy = json.loads(content)["test"]["accuracy"]
    return " ± ".join(f"{100 * accuracy[key]:.2f}" for key in ("mean", "sd"))


@pytest.mark.parametrize("model", ["relu_128", "linear_64"])
def test_the_baseline_of_the_report_shown_is_the_one_in_metrics(model):
    found = map(shown, versions(f"metrics/runs/{model}.json"))

    assert any(re.search(rf"^{model} +{numbers} ", README, re.MULTILINE) for numbers in found)


def test_the_result_shown_is_the_result_in_metrics():
    found = map(Comparison.model_validate_json, versions("metrics/comparison.json"))

    assert any(
        f"chosen by validation accuracy: {each.chosen.model} (seed {each.chosen.seed}" in README
        and each.differences[0].sentence(each.metric.unit) in README
        for each in found
    )
