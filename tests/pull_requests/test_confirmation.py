"""Fresh seeds: each run trains on its own, for real; and the anchor, as git knows it."""

import io
import json
import zipfile

import pytest
from github_server import zipped

from lab.verdict.seeds import fresh

pytestmark = pytest.mark.slow


def opened(forge, commit, base="release"):
    forge.push("release", "asking")
    forge.push("change", commit, forge.fork())
    return forge.open(7, "change", base, "stranger")


def left(forge):
    """What the newest run that measured left, as the server has it, and its content."""
    found = next(one for one in reversed(forge.github.artifacts) if one["name"] == "report")
    with zipfile.ZipFile(io.BytesIO(found["archive"])) as archive:
        return found, json.loads(archive.read("report.json"))


def claim(forge, change):
    """Lets the run have left another report, before anybody reads it."""

    def rewrite():
        found, content = left(forge)
        change(content)
        found["archive"] = zipped({"report.json": json.dumps(content).encode()})

    forge.before["report", "page"] = rewrite


def test_a_loss_is_confirmed_by_every_run_on_seeds_of_its_own(forge):
    opened(forge, "asking_worse")
    forge.settle()
    first = left(forge)[1]["trial"]
    forge.assert_says(7, "failure", "▼ **Regressed**: `relu_8`", "#7 into release: ▼ Regressed")
    forge.rerun(forge.last("cml"))
    forge.settle()
    again = left(forge)[1]["trial"]
    forge.push("change", "asking_worse_readme", "stranger")
    forge.settle()
    next_one = left(forge)[1]
    forge.assert_says(7, "failure", "▼ **Regressed**: `relu_8`", "#7 into release: ▼ Regressed")

    seeds = [one["candidate"]["relu_8"]["seeds"] for one in (first, again, next_one["trial"])]
    commits = [next_one[side]["commit"] for side in ("candidate", "baseline")]
    assert seeds[0] == seeds[1]
    assert not {*seeds[0]} & {*seeds[2]}
    assert seeds[2] == fresh(forge.last("cml").record["id"], *commits, len(seeds[2]))
    assert next_one["confirmation"] == 2
    assert next_one["trial"]["baseline"]["relu_8"]["seeds"] == seeds[2]


def test_what_is_within_the_margin_is_confirmed_and_again_in_the_queue(forge):
    opened(forge, "asking_other")
    forge.settle()
    assert forge.check(7) == "success", forge.comment(7)
    entry = forge.enqueue(7)
    forge.settle()

    trial = left(forge)[1]["trial"]
    assert forge.github.conclusion(entry) == "success"
    assert trial["run"] == forge.last("cml", "merge_group").record["id"]
    assert [*trial["candidate"]] == ["relu_8"]


def known(content):
    for side in ("candidate", "baseline"):
        found = content["trial"][side]["relu_8"]
        found["seeds"] = [*range(100, 100 + len(found["seeds"]))]


def of_another_run(content):
    content["trial"]["run"] += 1
    commits = [content[side]["commit"] for side in ("candidate", "baseline")]
    for side in ("candidate", "baseline"):
        found = content["trial"][side]["relu_8"]
        found["seeds"] = fresh(content["trial"]["run"], *commits, len(found["seeds"]))


@pytest.mark.parametrize("lie", [known, of_another_run])
def test_seeds_that_a_run_chose_are_no_report(forge, lie):
    opened(forge, "asking_worse")
    claim(forge, lie)
    forge.settle()

    forge.assert_says(7, "failure", "✕ **No report**", "report.json contradicts git")


def test_without_fresh_seeds_it_is_not_confirmed(forge):
    opened(forge, "asking_worse")
    claim(forge, lambda content: content.update(trial=None, trial_missing="the disk is full"))
    forge.settle()

    forge.assert_says(7, "failure", "✕ **Not confirmed**: `relu_8`", "Not confirmed: relu_8")


def without_anchor(content):
    content["anchor"] = None
    for model in content["models"]:
        model["anchor"] = None


def test_an_anchor_that_is_left_out_is_no_report(forge):
    forge.tag("anchor", "trunk")
    forge.push("change", "better", forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.settle()
    assert forge.check(7) == "success", forge.comment(7)
    assert left(forge)[1]["anchor"]["name"] == "anchor"

    claim(forge, without_anchor)
    forge.rerun(forge.last("cml"))
    forge.settle()
    forge.assert_says(7, "failure", "✕ **No report**", "the anchor is anchor (")
