"""The evaluator of GitHub's expressions, against the cases of GitHub's own reference."""

import pytest
from expressions import ExpressionError, Happened, conditioned, evaluate, interpolate, jobs, starts

GITHUB = {"event_name": "push", "event": {"label": None, "changes": {"base": {}}, "list": ["a"]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.event_name == 'PUSH'", True),  # without regard to case
        ("github.event.nothing.at.all", None),
        ("github.event.nothing == ''", True),  # both are 0
        ("github.event.nothing == 'x'", False),
        ("null == 0 && true == 1 && '1' == 1 && 'x' != 1", True),
        ("'' || github.event.label || 'last'", "last"),
        ("github.event.changes.base && 'yes' || 'no'", "yes"),  # an empty object is true
        ("!github.event.changes.base", False),
        ("true && false || true", True),
        ("false || true && false", False),
        ("(true || true) && false", False),
        ("'it''s'", "it's"),
        ("github.event['changes'].base == github.event.changes.base", True),
        ("github.event.list[0]", "a"),
        ("1 < 2 && 2 >= 2 && '3' > 2", True),
        ("contains('Hello', 'hell') && contains(fromJSON('[\"a\"]'), 'A')", True),
        ("contains(fromJSON('[\"ab\"]'), 'a')", False),  # of a list, whole entries
        ("startsWith('Hello', 'HE') && endsWith('Hello', 'lo')", True),
        ("format('{1}-{0}', 7, 'a')", "a-7"),
        ("fromJSON('[1, \"b\"]')", [1, "b"]),
        ("contains(github.event.*.base, 'x')", False),
    ],
)
def test_values(text, value):
    assert evaluate(text, {"github": GITHUB}) == value


@pytest.mark.parametrize(
    "text",
    ["secrets.x", "hashFiles('x')", "toJSON(github)", "github.", "a b", "1 +  2", "(1", "'open",
     'github == "x"', "fromJSON('lab')", "", "github.event.**"],
)  # fmt: skip
def test_anything_else_is_an_error(text):
    with pytest.raises(ExpressionError):
        evaluate(text, {"github": GITHUB})


def test_text_around_expressions():
    contexts = {"github": GITHUB}

    assert interpolate("a-${{ github.event_name }}-${{ 7 }}${{ null }}", contexts) == "a-push-7"
    assert interpolate({"x": ["${{ fromJSON('[1]') }}", 3]}, contexts) == {"x": [[1], 3]}
    with pytest.raises(ExpressionError, match="without an end"):
        interpolate("${{ 'x'", contexts)


@pytest.mark.parametrize(
    ("condition", "after", "value"),
    [
        ("true", ["success"], True),
        ("true", ["failure"], False),  # unless it says otherwise, all before must have succeeded
        ("true", ["skipped"], False),
        ("!cancelled()", ["skipped"], True),
        ("${{ failure() && true }}", ["success", "failure"], True),
        ("success() || failure()", ["failure"], True),
        ("always()", ["cancelled"], True),
    ],
)
def test_conditions(condition, after, value):
    assert conditioned(condition, {}, after) is value


def test_a_condition_with_text_around_it_always_holds_at_github_and_is_an_error_here():
    with pytest.raises(ExpressionError, match="one expression"):
        conditioned("${{ false }} && ${{ false }}", {}, [])


def test_a_skipped_job_skips_what_follows_it_by_way_of_others_too():
    workflow = {
        "jobs": {
            "last": {"needs": "middle", "runs-on": "m", "if": "true"},
            "middle": {"needs": ["first"], "runs-on": "m", "if": "!cancelled()"},
            "first": {"runs-on": "m", "if": "false"},
        }
    }

    found = jobs(workflow, Happened("push", {}))

    assert {key: job.result for key, job in found.items()} == {
        "first": "skipped", "middle": "success", "last": "skipped",
    }  # fmt: skip


def test_filters_of_triggers():
    workflow = {"on": {"push": {"branches": ["release/*"]}, "pull_request": None}}

    def pushed(ref: str) -> bool:
        return starts(workflow, Happened("push", {}, {"ref": ref}))

    assert pushed("refs/heads/release/1")
    assert not pushed("refs/heads/main")
    assert not pushed("refs/tags/release/1")
    assert starts(workflow, Happened("pull_request", {"action": "opened"}))
    assert not starts(workflow, Happened("pull_request", {"action": "edited"}))
    assert not starts(workflow, Happened("merge_group", {}))
    with pytest.raises(ExpressionError, match="not evaluated here"):
        starts({"on": {"push": {"paths": ["x"]}}}, Happened("push", {}))
