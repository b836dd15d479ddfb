"""Seeds that nobody knew: which run drew them, how often it was tried, what contradicts that."""

import copy

import pytest
from evidences import model, shifted, side
from github_server import repository
from support import TINY
from trials import GOOD, IMPROVED, REGRESSED, STRANGER, begun, labelled

import pull_request as script
from lab.ci import confirmations, pulls
from lab.evidence.resolution import NOT_RESOLVED, Resolution
from lab.verdict.seeds import fresh

# p is 0.016 in pairs: improved for the first time, and for the second nobody can tell.
BARELY = shifted(0.0015, 0.0016)


@pytest.fixture
def confirmed(trials):
    """Pull requests of a repository that asks for a confirmation."""
    trials.budget = 40
    return trials


def said(server):
    """Check and comment of the one pull request; lines that were wrapped in one."""
    sha = server.pulls[0]["head"]["sha"]
    return server.conclusion(sha), server.comments[0]["body"].replace("`\n- `", " ")


# --- how many runs -------------------------------------------------------------------------------


def asked(api, server, run, number=7):
    others = [pulls.WorkflowRun.model_validate(one) for one in server.runs]
    sha = server.pull(number)["head"]["sha"]
    return confirmations.of_pull(
        api, pulls.get(api, number), run, [one for one in others if one.head_sha == sha]
    )


def pushed(server, pull, number, **more):
    """A run of a newer commit of a pull request."""
    pull["head"] = {**pull["head"], "sha": f"{number:040x}"}
    server.add_run(number, pull, None, **{"created_at": server.now(), **more})


def test_each_run_of_a_pull_request_counts_and_no_later_one(api, server):
    pull = server.add_pull(7, "a" * 40, "change", STRANGER)
    for number in (31, 32, 33):
        pushed(server, pull, number)

    assert [asked(api, server, run) for run in (31, 32, 33)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"conclusion": "cancelled"}, True),  # it may have shown its numbers
        ({"event": "workflow_dispatch"}, True),
        ({"conclusion": "skipped"}, False),  # another title
        ({"conclusion": "action_required"}, False),
        ({"event": "push"}, False),
        ({"head_branch": "another"}, False),
        ({"head_repository": repository("another", 3)}, False),
        ({"pull_requests": [{"number": 8}]}, True),  # the same branch into another base
        ({"path": ".github/workflows/check.yaml"}, False),
        ({"created_at": "2026-11-01T00:00:00Z"}, False),  # of an earlier one of the branch
    ],
)
def test_which_other_runs_count(api, server, more, counts):
    pull = server.add_pull(7, "a" * 40, "change", STRANGER)
    pushed(server, pull, 31, **more)
    pushed(server, pull, 32)

    assert asked(api, server, 32) == 1 + counts


def test_the_same_commit_in_another_pull_request_is_no_new_try(api, server):
    pull = server.add_pull(7, "a" * 40, "change", STRANGER)
    server.add_run(31, pull, None)
    server.add_run(32, server.add_pull(8, "a" * 40, "copy", repository("another", 3)), None)

    assert asked(api, server, 32) == asked(api, server, 32, 8) == 2


def test_the_entries_of_a_merge_queue_count_by_their_pull_request(api, server):
    for number, of in ((31, 7), (32, 8), (33, 7)):
        branch = f"gh-readonly-queue/main/pr-{of}-{'b' * 40}"
        pull = server.add_pull(of, f"{number:040x}", branch)
        server.add_run(number, pull, None, event="merge_group", created_at=server.now())

    assert [confirmations.of_entry(api, 7, run) for run in (31, 33)] == [1, 2]
    assert confirmations.of_entry(api, 8, 32) == 1


@pytest.fixture
def at_github(monkeypatch, server):
    """The variables of the run's own step."""
    for name, value in (("REPOSITORY", "owner/lab"), ("TOKEN", "t"), ("API_URL", server.url)):
        monkeypatch.setenv(f"GITHUB_{name}", value)


def test_the_run_itself_counts_too(api, server, at_github):
    pull = server.add_pull(7, "a" * 40, "change")
    event = begun(server, pull)
    for number, kind in ((31, "pull_request"), (32, "workflow_dispatch")):
        pushed(server, pull, number, event=kind)
    entry = {"head_ref": f"refs/heads/gh-readonly-queue/main/pr-7-{'b' * 40}"}

    assert confirmations.of_event(event, 31) == (1, None)
    dispatched = {"ref": "refs/heads/change", "repository": server.repository}
    assert confirmations.of_event(dispatched, 32) == (2, None)
    assert confirmations.of_event({"merge_group": entry}, 40) == (1, None)


def test_where_github_does_not_answer_it_is_the_first_and_that_is_said(api, server, at_github):
    server.forbidden = ["GET actions/.*"]

    number, fault = confirmations.of_event(begun(server, server.add_pull(7, "a" * 40)), 31)

    assert number == 1
    assert "counts as the first" in fault
    assert "403" in fault


@pytest.mark.parametrize(
    ("budget", "event", "resolution"),
    [
        (40, "pull_request", Resolution("always", 31, 2)),
        (0, "pull_request", Resolution("always", 31, 1)),  # perhaps the baseline has one
        (40, "push", NOT_RESOLVED),
    ],
)
def test_what_a_run_trains_anew(
    api, server, at_github, monkeypatch, tmp_path, budget, event, resolution
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        (TINY / "params.yaml")
        .read_text(encoding="utf-8")
        .replace("was:", f"budget: {budget}\n  was:"),
        encoding="utf-8",
    )
    monkeypatch.setenv("GITHUB_RUN_ID", "31")
    pull = server.add_pull(7, "a" * 40, "change")
    of_pull = begun(server, pull, "synchronize")
    for number in (30, 31):
        pushed(server, pull, number)
    events = {"pull_request": {**of_pull, "before": "b" * 40}, "push": {"before": "b" * 40}}

    assert script._resolution(events[event]) == resolution


# --- what the check says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "conclusion", "words"),
    [
        (REGRESSED, "failure", "▼ **Regressed**: `relu_128`"),
        (IMPROVED, "success", "▲ **Improved**: `relu_128`"),
        (model("relu_128", GOOD, GOOD), "success", "= **Equivalent**"),
    ],
    ids=["regressed", "improved", "identical"],
)
def test_the_verdict_is_that_of_fresh_seeds(report, server, confirmed, entry, conclusion, words):
    report(confirmed.open(entry))

    assert said(server)[0] == conclusion, said(server)[1]
    assert words in said(server)[1]


def test_luck_with_the_seeds_of_the_commit_is_not_confirmed(report, server, confirmed):
    """Better on the ten seeds that the branch shows, and worse on those that it did not know."""
    confirmed.open(IMPROVED)
    (pull,) = server.pulls
    server.runs.clear()
    found = confirmed.evidence(pull, IMPROVED)
    base = found["baseline"]["commit"]
    drawn = confirmed.drawn(32, pull["head"]["sha"], base, REGRESSED)

    report(confirmed.run(pull, IMPROVED, trial=drawn))

    assert said(server)[0] == "failure"
    assert "▼ **Regressed**: `relu_128` −0.50 pp" in said(server)[1]


def test_without_fresh_seeds_nothing_passes_and_no_label_helps(report, step, server, confirmed):
    event = confirmed.open(IMPROVED, trial=None, trial_missing="the disk is full")
    (pull,) = server.pulls
    step("begin", begun(server, pull))
    report(event)
    report(labelled(server, pull))

    assert said(server)[0] == "failure"
    assert "✕ **Not confirmed**: `relu_128`" in said(server)[1]
    assert "the disk is full" in said(server)[1]


UNCLEAR = model("relu_128", side(0.9695, 0.006), side(0.97, 0.002))  # nothing can be told of ten


def test_a_trial_that_ended_before_anything_could_be_told_confirms_nothing(
    report, server, confirmed
):
    """As when training failed at the second look: what came of the first is shown."""
    report(confirmed.open(UNCLEAR, trial_missing="the second look failed"))

    assert said(server)[0] == "failure"
    assert "✕ **Not confirmed**: `relu_128`" in said(server)[1]
    assert "the second look failed" in said(server)[1]


def test_equal_results_in_git_hide_no_loss_on_fresh_seeds(report, server, confirmed):
    """Code that behaves on the seeds that everybody knows."""
    confirmed.open(model("relu_128", GOOD, GOOD))
    (pull,) = server.pulls
    server.runs.clear()
    base = confirmed.evidence(pull, model("relu_128", GOOD, GOOD))["baseline"]["commit"]
    drawn = confirmed.drawn(32, pull["head"]["sha"], base, REGRESSED)

    report(confirmed.run(pull, model("relu_128", GOOD, GOOD), trial=drawn))

    assert said(server)[0] == "failure"
    assert "▼ **Regressed**: `relu_128`" in said(server)[1]


def test_each_push_asks_for_more(report, server, confirmed):
    """And a run that is repeated asks for what it asked before."""
    confirmed.budget = 10
    first = confirmed.open(BARELY)
    (pull,) = server.pulls
    report(first)
    assert said(server)[0] == "success", said(server)[1]

    first["workflow_run"].update(run_attempt=2, run_started_at=server.now())
    report(first)
    assert said(server)[0] == "success"

    confirmed.clones.commit("again", {"README.md": "again\n"})
    confirmed.clones.push_pull(7)
    pull["head"] = {**pull["head"], "sha": confirmed.clones.head()}
    report(confirmed.run(pull, BARELY))
    assert said(server)[0] == "neutral", said(server)[1]


def test_in_a_merge_queue_fresh_seeds_are_asked_for_as_well(report, server, confirmed):
    confirmed.open(IMPROVED)
    confirmed.clones.commit("merged", {})
    group = confirmed.queued()

    report(confirmed.run_queued(group, IMPROVED, trial=None))
    assert server.conclusion(group["head"]["sha"]) == "failure"

    report(confirmed.run_queued(group, IMPROVED))
    assert server.conclusion(group["head"]["sha"]) == "success"


# --- what contradicts it -------------------------------------------------------------------------


def other_seeds(drawn):
    drawn["candidate"]["relu_128"]["seeds"][3] += 1


def other_seeds_on_both_sides(drawn):
    for one in ("candidate", "baseline"):
        drawn[one]["relu_128"]["seeds"] = list(range(10))


def in_another_order(drawn):
    for one in ("candidate", "baseline"):
        drawn[one]["relu_128"]["seeds"].reverse()


def of_another_run(drawn):
    drawn["run"] = 29
    for one in ("candidate", "baseline"):
        drawn[one]["relu_128"]["seeds"] = fresh(29, "c" * 40, "b" * 40, 10)


def fewer_than_planned(drawn):
    for one in ("candidate", "baseline"):
        side = drawn[one]["relu_128"]
        side.update(seeds=side["seeds"][:7], test={"accuracy": side["test"]["accuracy"][:7]})


def fewer_on_one_side(drawn):
    del drawn["baseline"]["relu_128"]


def more_on_one_side(drawn):
    side = drawn["candidate"]["relu_128"]
    seeds = fresh(32, *drawn.pop("commits"), 20)
    side.update(seeds=seeds, test={"accuracy": side["test"]["accuracy"] * 2})


def committed_ones(drawn):
    drawn.update(kind="extended", run=None)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (other_seeds, "relu_128 was trained on other seeds than were drawn for the run 32"),
        (other_seeds_on_both_sides, "relu_128 was trained on other seeds"),
        (in_another_order, "relu_128 was trained on other seeds"),
        (of_another_run, "its seeds were drawn for the run 29, and this is 32"),
        (fewer_than_planned, "relu_128 was trained on other seeds"),
        (more_on_one_side, "relu_128 was trained on more seeds on one side than on the other"),
        (committed_ones, "its seeds were drawn for the run None"),
    ],
)
def test_seeds_that_the_branch_chose_are_no_report(report, server, confirmed, lie, reason):
    confirmed.open(IMPROVED)
    (pull,) = server.pulls
    server.runs.clear()
    found = confirmed.evidence(pull, IMPROVED)
    commits = found["candidate"]["commit"], found["baseline"]["commit"]
    drawn = copy.deepcopy(confirmed.drawn(32, *commits, IMPROVED))
    drawn["commits"] = commits
    lie(drawn)
    drawn.pop("commits", None)

    report(confirmed.run(pull, IMPROVED, trial=drawn))

    assert said(server)[0] == "failure"
    assert "✕ **No report**" in said(server)[1]
    assert reason in said(server)[1]


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"budget": 10, "looks": [10]}, "compare.budget is 40 in params.yaml, and 10"),
        ({"looks": [10]}, "[10] seeds a side were planned, and by params.yaml it is [10, 20, 40]"),
        ({"looks": [20, 40]}, "[20, 40] seeds a side were planned"),
    ],
)
def test_a_run_does_not_choose_when_it_looks(report, server, confirmed, claim, reason):
    report(confirmed.open(IMPROVED, **claim))

    assert said(server)[0] == "failure"
    assert reason in said(server)[1]


@pytest.mark.parametrize(
    ("budget", "words"), [(0, "Not confirmed"), (10, "Fewer seeds than before")]
)
def test_a_branch_does_not_lower_the_budget_that_it_is_judged_by(
    report, server, confirmed, budget, words
):
    unclear = model("relu_128", side(0.9705, 0.004), side(0.97, 0.003))
    confirmed.measured({"relu_128": unclear["baseline"]}, "before")
    confirmed.clones.push("trunk")
    confirmed.budget = budget
    confirmed.measured({"relu_128": unclear["candidate"]}, "after")

    report(confirmed.run(confirmed.proposed(), unclear))

    assert said(server)[0] == "failure", said(server)[1]
    assert words in said(server)[1]
