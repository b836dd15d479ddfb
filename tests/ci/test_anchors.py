"""The anchor: git says which commit it is, and what it has of the results that git holds."""

import pytest
from evidences import model, side
from trials import begun, labelled

HIGH, LOWER, LOW = side(0.9710), side(0.9704), side(0.9698, mistakes=29)


@pytest.fixture
def anchored(trials):
    """A release, and a default branch that has come below it by less than the margin since.

    Returns what opens a pull request by the model that it changes, and returns its run's end.
    """
    trials.measured({"relu_128": HIGH}, "released")
    trials.clones.push("trunk")
    trials.clones.tag("v1.0")
    released = trials.clones.head()
    trials.measured({"relu_128": LOWER}, "a little lower")
    trials.clones.push("trunk")
    trials.measured({"relu_128": LOW}, "lower again")
    anchor = {"commit": released, "name": "v1.0", "missing": None}

    def opened(entry=None, **more):
        entry = entry or changed()
        return trials.run(trials.proposed(), entry, **{"anchor": anchor, **more})

    opened.anchor = anchor
    return opened


def changed(anchor=HIGH, **more):
    found = anchor and {"seeds": anchor["seeds"], "test": anchor["test"], **more}
    return model("relu_128", LOW, LOWER, anchor=found)


def said(server):
    sha = server.pulls[0]["head"]["sha"]
    return server.conclusion(sha), server.comments[0]["body"].replace("`\n- `", " ")


def test_what_falls_below_the_anchor_fails_until_it_is_accepted(report, step, server, anchored):
    """A loss within the margin, which is not the first since the release."""
    event = anchored()
    (pull,) = server.pulls
    step("begin", begun(server, pull))
    report(event)
    conclusion, comment = said(server)
    assert conclusion == "failure", comment
    assert "▼ **Below the anchor**: `relu_128`" in comment
    assert "v1.0" in comment

    report(labelled(server, pull))
    assert said(server)[0] == "neutral"


def test_without_the_anchor_it_would_pass(report, server, trials):
    trials.measured({"relu_128": LOWER}, "a little lower")
    trials.clones.push("trunk")
    trials.measured({"relu_128": LOW}, "lower again")

    report(trials.run(trials.proposed(), model("relu_128", LOW, LOWER)))

    assert said(server)[0] == "success", said(server)[1]


def test_an_anchor_that_is_left_out_is_no_report(report, server, anchored):
    report(anchored(changed(None), anchor=None))

    assert said(server)[0] == "failure"
    assert f"the anchor is v1.0 ({anchored.anchor['commit'][:12]}), and none in" in said(server)[1]


@pytest.mark.parametrize("lie", ["another commit", "no tag"])
def test_another_anchor_than_gits_is_no_report(report, server, trials, anchored, lie):
    other = {**anchored.anchor, "commit": trials.first}
    if lie == "no tag":
        trials.clones.tag("v1.0", delete=True)
        other = anchored.anchor

    report(anchored(anchor=other))

    assert said(server)[0] == "failure"
    assert "the anchor is " in said(server)[1]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (changed(None), "the anchor has relu_128, and the report leaves it out"),
        (changed(LOW), "what the anchor has of relu_128 is something else"),
        (changed(LOWER), "what the anchor has of relu_128 is something else"),
        (changed(seeds=[*range(20, 30)]), "what the anchor has of relu_128 is something else"),
    ],
    ids=["left out", "lower", "the baseline's", "other seeds"],
)
def test_what_git_has_of_the_anchor_is_not_said_otherwise(report, server, anchored, entry, reason):
    report(anchored(entry))

    assert said(server)[0] == "failure"
    assert reason in said(server)[1]


def test_an_anchor_that_has_no_say_by_the_branchs_word_alone_is_no_success(
    report, server, anchored
):
    missing = {**anchored.anchor, "missing": "<img src=x> @owner"}

    report(anchored(changed(None), anchor=missing))

    assert said(server)[0] == "neutral", said(server)[1]
    assert "as the branch reported (the anchor v1.0)" in said(server)[1]
    assert "has no say" in said(server)[1]
    assert "<img src=x" not in "".join(said(server)[1].split("`")[::2])


def test_a_release_that_the_baseline_lacks_is_no_anchor(report, server, trials):
    """Of the branch itself, for instance."""
    trials.measured({"relu_128": LOWER}, "before")
    trials.clones.push("trunk")
    trials.measured({"relu_128": LOW}, "after")
    trials.clones.tag("v1.0")

    report(trials.run(trials.proposed(), model("relu_128", LOW, LOWER)))

    assert said(server)[0] == "success", said(server)[1]


def test_on_fresh_seeds_the_anchor_is_trained_too(report, server, trials, anchored):
    """Its numbers on them are the branch's word, as those of the baseline are."""
    trials.budget = 40
    trials.clones.commit("undo", {})
    trials.measured({"relu_128": LOW}, "asks for a confirmation")
    pull = trials.proposed()
    found = trials.evidence(pull, model("relu_128", LOW, LOWER))
    base, head = found["baseline"]["commit"], found["candidate"]["commit"]
    drawn = trials.drawn(31, head, base, model("relu_128", LOW, LOWER))
    entry = changed(seeds=drawn["candidate"]["relu_128"]["seeds"])

    report(trials.run(pull, entry, anchor=anchored.anchor))

    assert said(server)[0] == "failure", said(server)[1]
    assert "▼ **Below the anchor**: `relu_128`" in said(server)[1]

    few = {
        "seeds": entry["anchor"]["seeds"][:3],
        "test": {"accuracy": HIGH["test"]["accuracy"][:3]},
    }
    report(trials.run(pull, model("relu_128", LOW, LOWER, anchor=few), anchor=anchored.anchor))

    assert said(server)[0] == "failure"
    assert "what the anchor has of relu_128 is of other seeds" in said(server)[1]


# --- what is in production -----------------------------------------------------------------------


@pytest.fixture
def produced(trials):
    """The same, where what nothing may fall below is in production, by an annotated tag of GTO."""
    trials.measured({"relu_128": HIGH}, "promoted")
    trials.clones.push("trunk")
    clones, name = trials.clones, "model#production#3"
    clones.run(clones.work, "tag", "--annotate", "--message=v3 in production", name)
    clones.run(clones.work, "push", "-q", "origin", f"refs/tags/{name}")
    clones.tag("v9.0")  # a release beside it
    promoted, day = clones.head(), clones.run(clones.work, "log", "-1", "--format=%cs")
    trials.measured({"relu_128": LOWER}, "a little lower")
    trials.clones.push("trunk")
    trials.measured({"relu_128": LOW}, "lower again")
    said = f"v3, in production since {day}"
    anchor = {"commit": promoted, "name": said, "missing": None}
    return lambda **more: trials.run(
        trials.proposed(), changed(), **{"anchor": anchor, **more}
    ), anchor


def test_a_report_names_what_is_in_production_and_how_the_branch_compares(report, server, produced):
    opened, anchor = produced
    report(opened())

    conclusion, comment = said(server)
    assert conclusion == "failure", comment
    assert "▼ **Below the anchor**: `relu_128`" in comment
    assert (
        f"may not fall below the anchor `{anchor['name']}` (`{anchor['commit'][:12]}`)" in comment
    )
    assert f"accuracy against the anchor `{anchor['name']}`" in comment


@pytest.mark.parametrize(
    "name", ["v2, in production since 2026-01-01", "v9.0", "model#production#3"]
)
def test_another_name_of_what_is_in_production_is_no_report(report, server, produced, name):
    opened, anchor = produced
    report(opened(anchor={**anchor, "name": name}))

    assert said(server)[0] == "failure"
    assert f"the anchor is {anchor['name']} (" in said(server)[1]


def test_a_lightweight_tag_puts_nothing_into_production(report, server, trials):
    trials.measured({"relu_128": HIGH}, "promoted")
    trials.clones.tag("model#production#3")
    trials.clones.push("trunk")
    trials.measured({"relu_128": LOW}, "lower")

    report(trials.run(trials.proposed(), model("relu_128", LOW, HIGH)))

    assert "against the anchor" not in said(server)[1]
