"""What somebody may try who wants a merge."""

import pytest

pytestmark = pytest.mark.slow


def opened(forge, commit):
    forge.push("change", commit, forge.fork())
    forge.open(7, "change", fork="stranger")
    forge.settle()
    return forge


def test_a_job_under_the_checks_name_fails_it(forge):
    opened(forge, "spoof")

    forge.moments = forge.moments[-1:]  # until the report comes, the job stands there alone
    forge.assert_says(7, "failure", "▼ **Regressed**", "Another check is called fair trial")
    assert "`.github/workflows/cml.yaml`" in forge.comment(7)


def test_a_baseline_that_is_lied_about(forge):
    opened(forge, "lie")

    assert forge.check(7) == "failure", forge.comment(7)
    assert "With the baseline's numbers as they are known: ▼ Regressed" in forge.summary(7)


def test_a_bar_that_is_lowered(forge):
    opened(forge, "bar")

    assert forge.check(7) == "failure", forge.comment(7)
    assert "By the score and the margin of the baseline: ▼ Regressed" in forge.summary(7)


def test_a_measurement_of_another_base_is_of_no_use(forge):
    """The commit passes against `stack`; the run against trunk has not come so far."""
    forge.push("stack", "worse")
    forge.push("change", "worse_readme")
    forge.open(7, "change", "stack")
    forge.settle()
    forge.open(8, "change")
    forge.work("report")

    assert forge.check(8) is None
    forge.label(8, "stranger")
    forge.work("report")
    assert forge.check(8) is None


def test_a_measurement_that_stood_before_the_base_was_rewound(forge):
    """The trial is another one as soon as the branch leaves its base at another commit."""
    forge.push("trunk", "worse")
    forge.push("change", "worse_readme")
    forge.open(7, "change")
    forge.settle()
    forge.push("trunk", "readme")
    forge.settle()

    assert forge.check(7) == "failure"


def test_the_same_where_no_push_is_told_of(forge):
    """A push to another branch than the default one starts no report; the schedule does."""
    forge.push("stack", "worse")
    forge.push("change", "worse_readme")
    forge.open(7, "change", "stack")
    forge.settle()
    forge.push("stack", "trunk")
    forge.settle()
    forge.wait()
    forge.settle()

    assert forge.check(7) == "failure"


def test_an_old_run_that_is_run_again_says_nothing_of_the_newer_commit(forge):
    forge.push("change", "readme")
    forge.open(7, "change")
    forge.settle()
    old = forge.last("cml")
    forge.push("change", "worse")
    forge.settle()
    forge.rerun(old)
    forge.settle()

    forge.assert_says(7, "failure", "▼ **Regressed**", "▼ Regressed: relu_8")


def test_a_commit_that_comes_back_is_what_it_was(forge):
    for commit in ("worse", "readme", "worse"):
        forge.push("change", commit)
        if commit == "worse" and not forge.github.pulls:
            forge.open(7, "change")
        forge.settle()

    forge.assert_says(7, "failure", "▼ **Regressed**", "▼ Regressed: relu_8")


def test_comments_of_others_are_left_alone(forge):
    mine = forge.github.add_comment("<!-- fair-trial report -->\n\n▲ **Improved**", "stranger")
    opened(forge, "worse")

    assert mine["body"].endswith("▲ **Improved**")
    forge.assert_says(7, "failure", "▼ **Regressed**", "▼ Regressed: relu_8")
