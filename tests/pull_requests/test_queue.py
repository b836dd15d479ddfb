"""Merge queues: their commits are measured against the branch, and get the same check."""

import pytest

pytestmark = pytest.mark.slow


def opened(forge, commit, number=7):
    forge.push(f"change{number}", commit)
    forge.open(number, f"change{number}")
    forge.settle()


def summary(forge, sha):
    found = [one for one in forge.github.checks if one["head_sha"] == sha]
    return next(one for one in found if one["name"] == "fair trial")["output"]["summary"]


def test_an_entry_that_loses_nothing(forge):
    opened(forge, "readme")
    entry = forge.enqueue(7)
    forge.settle()

    assert forge.github.conclusion(entry) == "success", summary(forge, entry)
    assert "Equivalent" in summary(forge, entry)
    assert len(forge.github.conversation(7)) == 1


def test_an_entry_that_loses(forge):
    opened(forge, "worse")
    entry = forge.enqueue(7)
    forge.settle()

    assert forge.github.conclusion(entry) == "failure"
    assert "Regressed" in summary(forge, entry)


def test_an_entry_whose_loss_was_accepted(forge):
    opened(forge, "worse")
    forge.label(7)
    forge.settle()
    entry = forge.enqueue(7)
    forge.settle()

    assert forge.github.conclusion(entry) == "neutral", summary(forge, entry)


def test_an_entry_behind_another(forge):
    opened(forge, "readme", 7)
    opened(forge, "worse", 8)
    first = forge.enqueue(7)
    second = forge.enqueue(8, after=first)
    forge.settle()

    assert forge.github.conclusion(first) == "success", summary(forge, first)
    assert forge.github.conclusion(second) == "failure", summary(forge, second)
    assert "Regressed" in summary(forge, second)


def test_an_entry_whose_measurement_fails(forge):
    opened(forge, "slip")
    entry = forge.enqueue(7)
    forge.settle()

    assert forge.github.conclusion(entry) == "failure"
    assert "did you mean" in summary(forge, entry)
