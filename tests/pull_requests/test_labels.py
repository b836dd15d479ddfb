"""A label accepts losses, of the commit and the base that it was set on, and nothing else."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def lost(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    forge.settle()
    return forge


def test_a_label_cannot_be_replayed(lost):
    lost.push("change", "worse_otherwise")
    lost.settle()
    lost.label(7)
    lost.settle()
    lost.assert_says(7, "neutral", "▼ **Regressed**: best model", "Accepted by owner")

    lost.push("change", "worse")
    lost.settle()
    lost.assert_says(7, "failure", "▼ **Regressed**: `relu_8`", "take it off, and set it again")

    lost.unlabel(7)
    lost.label(7)
    lost.settle()
    lost.assert_says(7, "neutral", "▼ **Regressed**: `relu_8`", "Accepted by owner")


def test_a_label_of_somebody_without_rights(lost):
    lost.label(7, "stranger")
    lost.settle()

    lost.assert_says(7, "failure", "▼ **Regressed**", "stranger may not write here")
    assert "stranger may not write here" in lost.comment(7)


def test_a_label_counts_for_its_base(lost):
    lost.push("release", "readme")
    lost.label(7)
    lost.settle()
    lost.retarget(7, "release")
    lost.settle()

    lost.assert_says(7, "failure", "▼ **Regressed**", "take it off, and set it again")


def test_a_label_counts_for_its_pull_request(lost):
    lost.push("release", "readme")
    lost.open(8, "change", "release")
    lost.settle()
    lost.label(7)
    lost.settle()

    lost.assert_says(7, "failure", "▼ **Regressed**", "#7 into trunk: ▼ Regressed")
    lost.assert_says(8, "failure", "▼ **Regressed**", "#8 into release: ▼ Regressed")
    assert "accepted" not in lost.comment(8).partition("\n")[0].lower()


def test_a_label_does_not_accept_results_that_are_not_committed(forge):
    forge.push("change", "worse_uncommitted")
    forge.open(7, "change")
    forge.label(7)
    forge.settle()

    forge.assert_says(7, "failure", "✕ **Stale in git**", "accepts losses only")


def test_a_label_accepts_a_removed_model(forge):
    forge.push("change", "removed")
    forge.open(7, "change")
    forge.settle()
    assert forge.check(7) == "failure"

    forge.label(7)
    forge.settle()
    assert forge.check(7) == "neutral", forge.comment(7)
    assert "Accepted by owner" in forge.summary(7)


def test_another_label_displaces_no_report(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    forge.work("report")
    forge.work("cml")
    forge.label(7, name="bug")
    forge.unlabel(7, name="bug")
    forge.settle()

    forge.assert_says(7, "failure", "▼ **Regressed**", "#7 into trunk: ▼ Regressed")


def test_a_label_of_the_name_set_before_the_report(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    forge.work("report")
    forge.label(7)
    forge.settle()

    forge.assert_says(7, "neutral", "▼ **Regressed**", "Accepted by owner")
