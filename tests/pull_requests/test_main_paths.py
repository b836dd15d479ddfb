"""The main paths: nothing lost, a loss, a loss that is accepted."""

import pytest


def test_a_typo_in_a_fork_passes(forge):
    forge.push("change", "readme", forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.settle()

    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")


def test_a_loss_fails_until_a_maintainer_accepts_it(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    forge.settle()
    forge.assert_says(7, "failure", "▼ **Regressed**: `relu_8`", "#7 into trunk: ▼ Regressed")

    forge.label(7)
    forge.settle()
    forge.assert_says(7, "neutral", "▼ **Regressed**: `relu_8`", "Accepted by owner")

    forge.unlabel(7)
    forge.settle()
    forge.assert_says(7, "failure", "▼ **Regressed**: `relu_8`", "#7 into trunk: ▼ Regressed")


@pytest.mark.slow
def test_a_loss_is_repaired(forge):
    forge.push("change", "worse")
    forge.open(7, "change")
    forge.settle()
    forge.push("change", "repaired")
    forge.settle()

    forge.assert_says(7, "success", "= **Equivalent**", "#7 into trunk: = Equivalent")


@pytest.mark.slow
def test_a_gain(forge):
    forge.push("change", "better")
    forge.open(7, "change")
    forge.settle()

    forge.assert_says(7, "success", "▲ **Improved**: `linear_4`", "#7 into trunk: ▲ Improved")


@pytest.mark.slow
def test_every_step_as_a_program(forge):
    """As GitHub runs it: each step by make, with pictures, nothing shared with this process."""
    forge.is_real = True
    forge.push("change", "worse", forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.settle()

    forge.assert_says(7, "failure", "▼ **Regressed**: `relu_8`", "#7 into trunk: ▼ Regressed")
    drawn = forge.changed("trunk", "report-pictures")
    assert any(name.endswith(".png") for name in drawn)
