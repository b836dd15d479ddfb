"""The workflows: what they may do, and the whole way from a fork's commit to a comment."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from expressions import Happened, conditioned, group, interpolate, jobs, starts
from github_server import GitHub, repository, serving, zipped
from reporting import COMMENT, RECORDER
from ruamel.yaml import YAML
from support import PATIENCE_SECONDS, SMALL, copy_of_the_code
from test_documents import make_targets

ROOT = Path(__file__).parent.parent
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github/workflows").glob("*.yaml"))}
LOGGED = " 2>&1 | tee report/run.log"


def loaded(name: str) -> dict:
    return YAML(typ="safe").load(WORKFLOWS[name].read_text(encoding="utf-8"))


def triggers(name: str) -> dict:
    return loaded(name)["on"]


JOBS = [(name, job) for name in WORKFLOWS for job in loaded(name)["jobs"]]
STEPS = [
    (name, job, step) for name, job in JOBS for step in loaded(name)["jobs"][job]["steps"]
]  # fmt: skip


def test_the_workflows_and_their_triggers():
    assert set(WORKFLOWS) == {
        *("check", "cml", "image", "monitor", "pages", "promote", "report", "verify"),
    }
    assert set(triggers("image")) == {"workflow_dispatch"}
    assert set(triggers("pages")) == {"push", "workflow_dispatch"}
    for name in ("monitor", "verify"):
        assert set(triggers(name)) == {"schedule", "workflow_dispatch"}
    for name in ("check", "cml"):
        assert set(triggers(name)) == {"push", "pull_request", "merge_group", "workflow_dispatch"}
    assert set(triggers("report")) == {"workflow_run", "pull_request_target", "schedule"}
    assert set(triggers("promote")) == {"workflow_run", "workflow_dispatch"}
    for name in ("promote", "report"):
        assert triggers(name)["workflow_run"]["workflows"] == [loaded("cml")["name"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_right_that_a_job_does_not_ask_for(name):
    assert loaded(name)["permissions"] == {}
    for job in loaded(name)["jobs"].values():
        assert job["permissions"]
        assert job["timeout-minutes"] <= 120


def test_only_these_jobs_can_write():
    written = {
        (name, job): sorted(
            right
            for right, how in loaded(name)["jobs"][job]["permissions"].items()
            if how == "write"
        )
        for name, job in JOBS
    }

    assert {key: rights for key, rights in written.items() if rights} == {
        ("cml", "offer"): ["actions", "contents", "pull-requests"],
        ("image", "image"): ["attestations", "id-token", "packages"],
        ("monitor", "tell"): ["issues"],
        ("pages", "publish"): ["id-token", "pages"],
        ("promote", "attest"): ["attestations", "id-token"],
        ("promote", "publish"): ["actions", "contents"],
        ("report", "begin"): ["checks", "contents", "pull-requests"],
        ("report", "lost"): ["checks"],
        ("report", "page"): ["contents"],
        ("report", "post"): ["checks", "pull-requests"],
        ("report", "sweep"): ["checks", "contents", "pull-requests"],
    }


def test_no_job_with_rights_checks_out_a_pull_request():
    for name, job in JOBS:
        rights = loaded(name)["jobs"][job]["permissions"]
        for step in loaded(name)["jobs"][job]["steps"]:
            if "write" in rights.values() and "checkout" in step.get("uses", ""):
                ref = step["with"].get("ref", "")
                of_base = "${{ github.event.pull_request.base.sha }}"
                default = "${{ github.event.repository.default_branch }}"
                assert ref in ((of_base,) if name == "cml" else ("", default))


@pytest.mark.parametrize(("name", "job", "step"), STEPS)
def test_a_step_is_one_command_of_make_or_a_pinned_action(name, job, step):
    if "run" in step:
        command = step["run"].removeprefix("mkdir -p report && ").removesuffix(LOGGED)
        found = re.fullmatch(r"make ([a-z-]+)(?: [A-Z]+=[a-z]+)*", command)
        assert found, command
        assert found[1] in make_targets()
    else:
        line = next(
            line
            for line in WORKFLOWS[name].read_text(encoding="utf-8").splitlines()
            if step["uses"] in line
        )
        assert re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d", line)
    if "checkout" in step.get("uses", ""):
        assert step["with"]["persist-credentials"] is False


def test_what_a_failure_is_told_from_is_logged_and_still_fails():
    job = loaded("cml")["jobs"]["train"]
    commands = [step["run"] for step in job["steps"] if "run" in step and "if" not in step]

    assert job["defaults"]["run"]["shell"] == "bash"  # by that name GitHub sets pipefail
    assert all(command.endswith(LOGGED) for command in commands)
    assert commands[0].startswith("mkdir -p report && ")  # a fresh checkout has no such folder


def test_a_step_that_takes_too_long_fails_before_its_job_is_cancelled():
    job = loaded("cml")["jobs"]["train"]
    limits = [step["timeout-minutes"] for step in job["steps"] if "timeout-minutes" in step]

    assert sum(limits[:-1]) < job["timeout-minutes"]  # the last sends, once all is handed over


def test_secrets_are_asked_for_by_the_steps_that_fetch_and_send_alone():
    asking = [step for name, _, step in STEPS if name == "cml" and "secrets." in json.dumps(step)]

    assert [step["run"] for step in asking] == ["make pull", "make push"]
    assert {step["if"] for step in asking} == {"env.IS_OWN == 'true'"}
    for name, job, step in STEPS:
        if name not in ("cml", "image") and "secrets." in json.dumps(step):
            assert (name, job, step["run"]) == ("promote", "judge", "make pull")
    assert all(step["continue-on-error"] for step in asking)


HUB = {"DOCKERHUB_USERNAME": "Somebody", "DOCKERHUB_TOKEN": "t0ken"}


@pytest.mark.parametrize(
    ("secrets", "name", "registry", "user", "password", "signed"),
    [
        ({}, "ghcr.io/owner/lab", "ghcr.io", "author", "github's", "ghcr.io/owner/lab"),
        (HUB, "docker.io/Somebody/lab", "docker.io", "Somebody", "t0ken",
         "index.docker.io/Somebody/lab"),
        ({**HUB, "DOCKERHUB_TOKEN": ""}, "ghcr.io/owner/lab", "ghcr.io", "author", "github's",
         "ghcr.io/owner/lab"),
    ],
)  # fmt: skip
def test_an_image_goes_to_docker_hub_if_both_secrets_are_set(
    secrets, name, registry, user, password, signed
):
    job = loaded("image")["jobs"]["image"]
    event = {"repository": {"name": "lab"}}
    github = {"event": event, "repository": OWN, "actor": "author", "token": "github's"}
    contexts = {"github": github, "secrets": secrets, "inputs": {"push": True}}
    contexts["env"] = interpolate(job["env"], contexts)
    steps = {step["uses"].split("@")[0]: step for step in job["steps"] if "uses" in step}
    login, attest = (steps[action] for action in ("docker/login-action", "actions/attest"))

    assert contexts["env"]["NAME"] == name
    asked = interpolate(login["with"], contexts)
    assert (asked["registry"], asked["username"], asked["password"]) == (registry, user, password)
    assert interpolate(attest["with"]["subject-name"], contexts) == signed


@pytest.mark.parametrize("is_pushed", [True, False])
def test_an_image_is_asked_before_it_is_pushed_and_pushed_only_on_request(is_pushed):
    steps = loaded("image")["jobs"]["image"]["steps"]
    asked = next(place for place, step in enumerate(steps) if step.get("run") == "make smoke")
    contexts = {"inputs": {"push": is_pushed}}
    built = [step["with"] for step in steps if "build-push" in step.get("uses", "")]

    assert all(place > asked for place, step in enumerate(steps) if "push" in step.get("with", {}))
    assert "push" not in built[0]
    assert interpolate(built[1]["push"], contexts) is is_pushed
    for step in steps[asked + 1 :]:
        if "build-push" not in step["uses"]:
            assert conditioned(step["if"], contexts, ["success"]) is is_pushed
    assert {step["context"] for step in built} == {"."}  # git's own has no model


@pytest.mark.parametrize(
    ("run", "result", "builds"),
    [("", "success", True), ("77", "skipped", True), ("", "failure", False)],
)
def test_the_model_of_an_image_is_of_a_run_or_from_dagshub(run, result, builds):
    found = loaded("image")["jobs"]
    event = happened("workflow_dispatch", {"repository": HOME})
    contexts = {**event.contexts, "inputs": {"run": run}}
    needs = {**contexts, "needs": {"model": {"result": result}}}
    (download,) = (
        step for step in found["image"]["steps"] if "download-artifact" in step.get("uses", "")
    )

    assert conditioned(found["model"]["if"], contexts, []) is (run == "")
    assert conditioned(found["image"]["if"], needs, [result]) is builds
    assert interpolate(download["with"]["run-id"], contexts) == (run or "12345")
    uploads = [
        step["with"]["path"] for name, _, step in STEPS
        if name in ("cml", "image") and step.get("with", {}).get("name") == "model"
    ]  # fmt: skip
    assert set(uploads) == {"models/export"}


# --- promotion -----------------------------------------------------------------------------------

TRUNK = {"repository": {"full_name": "owner/lab", "default_branch": "trunk"}}


def measured(**more) -> Happened:
    """The end of a run of cml on a push to the default branch, whose commit is still its newest."""
    run = {
        "event": "push", "conclusion": "success", "head_branch": "trunk", "head_sha": "c" * 40,
        "head_repository": {"full_name": "owner/lab"}, "name": "cml", **more,
    }  # fmt: skip
    return happened(
        "workflow_run", {"action": "completed", "workflow_run": run, **TRUNK},
        {"PROMOTE": "yes"}, ref="refs/heads/trunk", ref_name="trunk",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "runs"),
    [
        ({}, True),
        ({"conclusion": "failure"}, False),
        ({"event": "pull_request"}, False),
        ({"event": "workflow_dispatch"}, False),
        ({"head_branch": "change"}, False),
        ({"head_repository": {"full_name": "stranger/lab"}}, False),
        ({"head_sha": "d" * 40}, False),  # the branch has moved on, and that has its own run
    ],
)
@pytest.mark.parametrize("is_packed", [True, False])
def test_what_was_measured_on_the_default_branch_is_promoted(more, runs, is_packed):
    said = {"judge": ("success", {"publish": str(is_packed).lower()})}
    found = jobs(loaded("promote"), measured(**more), said)
    ran = [name for name, job in found.items() if job.result != "skipped"]

    assert ran == (["judge", "publish", "attest"] if is_packed else ["judge"]) * runs


def test_nothing_is_promoted_unless_it_is_asked_for():
    event = measured()
    found = jobs(loaded("promote"), Happened(event.name, event.event, event.github, {}), {})

    assert {job.result for job in found.values()} == {"skipped"}


def test_who_may_write_is_given_no_secret_and_installs_only_what_renders():
    job = loaded("promote")["jobs"]["publish"]
    commands = [step["run"] for step in job["steps"] if "run" in step]

    assert commands == ["make setup TORCH=none", "make promote STEP=publish TORCH=none"]
    assert "secrets." not in json.dumps(job)
    tokens = [step for step in job["steps"] if "github.token" in json.dumps(step)]
    assert [step["run"] for step in tokens] == commands[-1:]


def test_what_is_published_is_what_was_judged():
    found = loaded("promote")["jobs"]
    names = [
        (step["with"]["name"], step["with"]["path"])
        for job in ("judge", "publish", "attest")
        for step in found[job]["steps"]
        if "artifact" in step.get("uses", "")
    ]
    assert set(names) == {("model", "report/production")}
    # The image is made of the run's own artifact of that name, as it is of one of cml.
    assert len(names) == 3
    image = loaded("image")
    inputs = image["on"]["workflow_dispatch"]["inputs"]
    assert {"run", "tag", "push"} == set(inputs)


def test_nothing_keeps_a_commit_from_its_run():
    """`[skip ci]` in a commit survives a squash, and silences the default branch after it."""
    for path in [*ROOT.glob("lab/**/*.py"), *ROOT.glob("*.py"), *WORKFLOWS.values()]:
        assert not re.search(
            r"\[(skip ci|ci skip|no ci|skip actions)\]", path.read_text(encoding="utf-8")
        ), path


# --- which jobs run, where, and beside what ------------------------------------------------------

OWN, FORK = "owner/lab", "stranger/lab"
ALL_SET = {"RUNS_ON": "lab", "OFFER_RESULTS": "yes", "DAGSHUB_REPO": "owner/name"}
HOME = {"full_name": OWN, "default_branch": "trunk"}


def pull_request(
    action: str = "synchronize", repo: str | None = OWN, author: str = "somebody", **more
) -> Happened:
    head = {"ref": "change", "sha": "a" * 40, "repo": repo and {"full_name": repo}}
    pull = {"number": 7, "head": head, "user": {"login": author}, "base": {"ref": "release/2"}}
    event = {"action": action, "pull_request": pull, "repository": HOME, **more}
    github = {"ref": "refs/pull/7/merge", "ref_name": "7/merge"}
    return happened("pull_request", event, **github)


def push(branch: str) -> Happened:
    event = {"ref": f"refs/heads/{branch}", "before": "0" * 40, "repository": HOME}
    return happened("push", event, ref=f"refs/heads/{branch}", ref_name=branch)


def happened(name: str, event: dict, variables: dict | None = None, **github) -> Happened:
    context = {"repository": OWN, "run_id": "12345", "sha": "c" * 40, **github}
    return Happened(name, event, context, ALL_SET if variables is None else variables)


NEW_TITLE = {"title": {"from": "Old"}}
NEW_BASE = {"base": {"ref": {"from": "trunk"}, "sha": {"from": "b" * 40}}}
QUEUE = "gh-readonly-queue/trunk/pr-7-x"
ENTRY = {"action": "checks_requested", "repository": HOME,
         "merge_group": {"base_ref": "refs/heads/trunk", "base_sha": "b" * 40}}  # fmt: skip

EVENTS = {
    "own branch": pull_request(),
    "own branch, base changed": pull_request("edited", changes=NEW_BASE),
    "own branch, title changed": pull_request("edited", changes=NEW_TITLE),
    "fork": pull_request("opened", FORK),
    "deleted fork": pull_request("reopened", None),
    "Dependabot": pull_request("opened", author="dependabot[bot]"),
    "push to the default branch": push("trunk"),
    "push to another branch": push("change"),
    "push to a branch called main": push("main"),
    "entry of a merge queue": happened("merge_group", ENTRY, ref=f"refs/heads/{QUEUE}"),
    "dispatched": happened(
        "workflow_dispatch", {"inputs": {"base": "b" * 40}, "repository": HOME},
        ref="refs/heads/change", ref_name="change",
    ),
}  # fmt: skip
SKIPPED = ["own branch, title changed", "push to another branch", "push to a branch called main"]
OF_STRANGERS = ["fork", "deleted fork", "Dependabot"]
SAID = {
    "plan": ("success", {"runs-on": '["lab"]'}),
    "train": ("success", {"is-offered": "true"}),
}


def measuring(name: str, said: dict | None = None, **variables: str) -> dict:
    """What becomes of the jobs of cml.yaml: `skipped`, or the machine."""
    what = EVENTS[name]
    if variables or said:
        values = {key: value for key, value in {**ALL_SET, **variables}.items() if value}
        what = Happened(what.name, what.event, what.github, values)
    found = jobs(loaded("cml"), what, {**SAID, **(said or {})})
    return {
        key: job.machine if job.result != "skipped" else "skipped" for key, job in found.items()
    }


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_starts_the_run_that_measures_and_only_some_jobs_run(name):
    assert starts(loaded("cml"), EVENTS[name])
    found = measuring(name)

    if name in SKIPPED:
        assert set(found.values()) == {"skipped"}
    elif name in OF_STRANGERS:
        assert found == {"plan": "skipped", "train": "ubuntu-24.04", "offer": "skipped"}
    else:
        offers = "ubuntu-24.04" if name.startswith("own branch") else "skipped"
        assert found == {"plan": "ubuntu-24.04", "train": ["lab"], "offer": offers}


@pytest.mark.parametrize("name", [name for name in EVENTS if name not in SKIPPED])
def test_without_settings_github_trains(name):
    found = measuring(name, said={"train": ("success", {"is-offered": "false"})}, RUNS_ON="")

    assert found == {"plan": "skipped", "train": "ubuntu-24.04", "offer": "skipped"}


def test_offers_do_not_need_a_machine_of_ones_own():
    """At GitHub a job that was skipped skips what follows it, by way of others as well."""
    assert measuring("own branch", RUNS_ON="")["offer"] == "ubuntu-24.04"


@pytest.mark.parametrize("outcome", [("failure", {}), ("success", {"runs-on": '"ubuntu-24.04"'})])
def test_where_the_machine_cannot_be_chosen_github_trains(outcome):
    assert measuring("own branch", said={"plan": outcome})["train"] == "ubuntu-24.04"


def test_no_failure_of_an_offer_is_one_of_the_run():
    assert loaded("cml")["jobs"]["offer"]["continue-on-error"] is True


@pytest.mark.parametrize("name", EVENTS)
def test_secrets_are_for_code_of_this_repository(name):
    own = interpolate(loaded("cml")["env"]["IS_OWN"], EVENTS[name].contexts)

    assert own is (name not in OF_STRANGERS)


@pytest.mark.parametrize("action", ["labeled", "unlabeled", "closed", "ready_for_review"])
def test_nothing_is_measured_again_where_the_commits_are_the_same(action):
    assert not starts(loaded("cml"), pull_request(action))


def test_what_no_event_tells_of_is_looked_for_every_hour():
    (one,) = triggers("report")["schedule"]
    sweep = loaded("report")["jobs"]["sweep"]["if"]

    assert re.fullmatch(r"\d+ \* \* \* \*", one["cron"])
    assert conditioned(sweep, happened("schedule", {"schedule": one["cron"]}).contexts, [])


def test_closing_a_pull_request_reports_the_others_of_its_commit():
    closed = happened("pull_request_target", pull_request("closed").event)

    assert starts(loaded("report"), closed)
    assert conditioned(loaded("report")["jobs"]["page"]["if"], closed.contexts, [])


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_a_report_is_lost_by_a_job_that_fails_or_is_cancelled_at_its_time_limit(result):
    lost = loaded("report")["jobs"]["lost"]
    ended = dict.fromkeys(lost["needs"], "success")

    def runs(results):
        needs = {name: {"result": word} for name, word in results.items()}
        return conditioned(lost["if"], {"needs": needs}, list(results.values()))

    assert sorted(ended) == ["begin", "page", "post"]
    assert runs(ended) is False
    assert runs({**ended, "begin": "skipped"}) is False
    for name in ended:
        assert runs({**ended, name: result}) is True


def groups(*what: Happened) -> list[str]:
    assert all(group(loaded("cml"), one)[1] for one in what)
    return [group(loaded("cml"), one)[0] for one in what]


def again(what: Happened, **github: str) -> Happened:
    return Happened(what.name, what.event, {**what.github, **github}, what.variables)


def test_a_push_and_another_base_stop_the_run_before():
    opened, pushed = pull_request("opened"), again(pull_request(), run_id="12346")
    rebased = again(EVENTS["own branch, base changed"], run_id="12347")

    assert set(groups(opened, pushed, rebased)) == {"cml-pull-7"}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_run_that_measures_nothing_stops_none(name):
    assert len({*groups(EVENTS[name], again(EVENTS[name], run_id="6"), pull_request())}) == 3


@pytest.mark.parametrize(
    "name", ["push to the default branch", "entry of a merge queue", "dispatched"]
)
def test_every_commit_of_the_default_branch_and_of_a_queue_is_measured(name):
    """In one group a third run would end the second, which waits."""
    assert len({*groups(EVENTS[name], again(EVENTS[name], run_id="6"), pull_request())}) == 3


def test_an_old_commits_run_that_is_run_again_does_not_stop_the_newest():
    assert len({*groups(pull_request(), again(pull_request(), run_attempt="2"))}) == 2


@pytest.mark.parametrize("name", EVENTS)
def test_the_checks_run_where_a_rule_may_wait_for_them(name):
    check, what = loaded("check"), EVENTS[name]
    found = jobs(check, what) if starts(check, what) else {}
    ran = {key for key, job in found.items() if job.result != "skipped"}

    assert ran == (set() if name in SKIPPED or "base changed" in name else {"lint", "test"})
    if what.name == "push":  # skipped counts as passed: it must not be taken for the real one
        assert found["lint"].name != jobs(check, pull_request())["lint"].name


@pytest.mark.parametrize("variables", [{}, {"PAGES": "yes"}])
@pytest.mark.parametrize("name", EVENTS)
def test_the_documents_are_published_from_the_default_branch_where_that_is_wished(name, variables):
    pages, one = loaded("pages"), EVENTS[name]
    what = Happened(one.name, one.event, one.github, variables)
    found = jobs(pages, what) if starts(pages, what) else {}
    ran = {key for key, job in found.items() if job.result != "skipped"}

    is_wished = bool(variables) and name == "push to the default branch"
    assert ran == ({"build", "publish"} if is_wished else set())


def test_a_push_of_another_branch_ends_no_publishing():
    newer = again(EVENTS["push to the default branch"], run_id="6")
    others = (EVENTS["push to another branch"], EVENTS["push to a branch called main"])
    found = [group(loaded("pages"), one) for one in (newer, *others)]

    assert found[0] == group(loaded("pages"), EVENTS["push to the default branch"])
    assert found[0] not in found[1:]


def test_the_cache_is_saved_on_the_default_branch_alone():
    """Its job is the only one of a push; GitHub gives other branches no cache of their own."""
    for name, _, step in STEPS:
        if "cache/save" in step.get("uses", ""):
            assert "github.event_name == 'push'" in step["if"]
            for one in EVENTS.values():
                steps = {key: {"outputs": {}} for key in ("results", "packages")}
                saves = conditioned(step["if"], {**one.contexts, "steps": steps}, ["success"])
                assert saves is (one.name == "push"), name


def test_what_was_measured_is_handed_over_or_why_it_was_not():
    """Of a run that failed too, and with no second failure where nothing could be written."""
    steps = loaded("cml")["jobs"]["train"]["steps"]
    upload = next(step for step in steps if step.get("with", {}).get("name") == "report")
    why = next(step for step in steps if step.get("run") == "make failed")

    for results, is_written in ((["success"], False), (["success", "failure"], True)):
        assert conditioned(why["if"], {}, results) is is_written
        assert conditioned(upload["if"], {}, results) is True
    assert conditioned(upload["if"], {}, ["success"], cancelled=True) is False
    assert upload["with"]["if-no-files-found"] == "warn"
    assert upload["with"]["path"].split() == ["report/report.json", "report/failure.json"]


@pytest.mark.parametrize("name", ["report", "verify"])
def test_the_trusted_side_and_a_rebuild_from_nothing_use_no_cache(name):
    assert "cache" not in json.dumps(loaded(name))


def test_a_cache_of_results_is_of_all_the_code_that_makes_them():
    """Another key would save no cache after a change of that code."""
    pipeline = (
        YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    )
    made_or_read = {dep for stage in pipeline for dep in stage.get("do", stage)["deps"]}
    code = {dep for dep in made_or_read if dep.split("/")[0] not in ("data", "metrics", "models")}
    keys = [
        step["with"]["key"]
        for _, _, step in STEPS
        if "cache/restore" in step.get("uses", "") and ".dvc/cache" in step["with"]["path"]
    ]

    keys = [key for key in keys if "hashFiles" in key]  # a promotion takes the newest there is
    assert len(keys) == 1
    hashed = set(re.findall(r"'([^']+)'", keys[0]))
    folders = tuple(name.removesuffix("**") for name in hashed if name.endswith("/**"))
    assert {name for name in code - hashed if not f"{name}/".startswith(folders)} == set()
    assert {"dvc.yaml", "params.yaml", "requirements.txt"} <= hashed


def test_every_action_has_one_version():
    found: dict[str, set[str]] = {}
    for path in WORKFLOWS.values():
        for action, version in re.findall(
            r"uses: ([\w-]+/[\w-]+)\S*@(.*)", path.read_text(encoding="utf-8")
        ):
            found.setdefault(action, set()).add(version)

    assert all(len(versions) == 1 for versions in found.values()), found


def test_rendering_needs_only_the_packages_that_are_installed_for_it():
    """`make setup TORCH=none` installs these and what they depend on."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.search(r"^RENDERING := (.*)$", makefile, re.MULTILINE)[1].split("|"))
    script = (
        "import sys, importlib.metadata as m; import promote, pull_request, lab.report.pictures;"
        "found = m.packages_distributions();"
        "print(*{d for n in sys.modules for d in found.get(n, [])})"
    )
    # `make coverage` would import itself there.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    loaded_packages = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=kept, capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip
    packages = {re.sub("[._]", "-", name.lower()) for name in loaded_packages.split()}
    compiled = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = set(named)
    for _ in range(5):  # what those depend on, by the comments of the compiled file
        for package, comment in re.findall(
            r"^([\w.-]+)==.*\n(?:    --hash.*\n)+((?:    #.*\n)+)", compiled, re.MULTILINE
        ):
            if any(re.search(rf"#\s+(via )?{one}\n", comment) for one in wanted):
                wanted.add(package)

    assert named <= packages | {"pillow"}
    assert packages - wanted <= {"setuptools", "pip"}


# --- the whole way -------------------------------------------------------------------------------

BRANCH = "change;$(touch${IFS}pwned)'\"`touch${IFS}pwned`"


class Folder:
    """A git repository, and the steps of a workflow's job run in it as a runner would."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment

    def run(self, *command: str, **more: str) -> str:
        done = subprocess.run(
            command, cwd=self.path, env={**self.environment, **more}, capture_output=True,
            encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def clone(self, path: Path) -> "Folder":
        self.run("git", "clone", "-q", str(self.path), str(path))
        return Folder(path, self.environment)

    def commit(self, message: str) -> str:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)
        return self.run("git", "rev-parse", "HEAD").strip()

    def dvc(self, *arguments: str) -> str:
        path = f"{self.path}/.venv/bin:{os.environ['PATH']}"
        return self.run(".venv/bin/dvc", *arguments, PATH=path)

    def set_up(self) -> None:
        """Lends it the packages that are installed here, as if `make setup` had run."""
        venv = self.path / ".venv"
        venv.mkdir()
        for name in ("bin", "lib"):
            (venv / name).symlink_to(Path(sys.prefix) / name)
        made = Path(sys.prefix, "pyvenv.cfg").read_text(encoding="utf-8")
        (venv / "pyvenv.cfg").write_text(made.replace(sys.prefix, str(venv)), encoding="utf-8")
        for marker in ("ready-cpu", "ready-none"):
            (venv / marker).touch()

    def job(self, workflow: str, job: str, fails: bool = False, **values: str) -> str:
        """Runs the commands of a job's steps, one after the other; returns what they print.

        Steps with secrets are for the repository's own branches; the rest is given nothing but
        `values`, and a token where the step asks for one.
        """
        printed, results = "", ["success"]
        contexts = {"env": {"IS_OWN": "false"}, "github": {"event_name": "pull_request"}}
        contexts["steps"] = {key: {"outputs": {}} for key in ("results", "collect", "page")}
        for step in loaded(workflow)["jobs"][job]["steps"]:
            is_due = conditioned(step.get("if", "success()"), contexts, results)
            if not is_due or "run" not in step:
                continue
            asked = step.get("env", {})
            token = {"GITHUB_TOKEN": "the-token"} if "GITHUB_TOKEN" in asked else {}
            shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
            done = subprocess.run(
                shell, cwd=self.path, env={**self.environment, **values, **token},
                capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
            )  # fmt: skip
            printed += done.stdout + done.stderr
            results.append("failure" if done.returncode else "success")
        assert ("failure" in results) == fails, printed
        return printed


@pytest.fixture(scope="module")
def upstream(tmp_path_factory, empty_store) -> Folder:
    """The repository with small settings and the results of them, as on the default branch."""
    if sys.platform == "win32":
        pytest.skip("runs the steps in bash")
    steady = SMALL.replace("hidden: [8]", "hidden: [32]")  # three seeds show what is worse
    one_model = re.sub(r"  linear_4:\n(    .*\n)+", "", steady)
    folder = tmp_path_factory.mktemp("upstream") / "lab"
    made = repository_of(folder, one_model, empty_store)
    made.dvc("repro", "--quiet", "train", "card")
    made.commit("Its results")
    return made


def repository_of(folder: Path, params: str, store: Path) -> Folder:
    """This repository's code with these params, without results, ready to run."""
    hidden = ("GITHUB_", "MLFLOW", "DAGSHUB", "MAKE", "MFLAGS", "DVC_")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(hidden)},
        "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
        "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
        "CI": "true", "GITHUB_ACTIONS": "true", "TORCH": "cpu",
    }  # fmt: skip
    copy_of_the_code(folder)
    shutil.copy(store, folder / "mlflow.db")
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    made = Folder(folder, environment)
    made.run("git", "init", "-q", "-b", "trunk")
    made.set_up()
    made.commit("The code")
    return made


@pytest.mark.slow
def test_from_a_forks_commit_to_the_comment(upstream, tmp_path):
    # somebody forks the repository, changes a model, and opens a pull request
    fork = upstream.clone(tmp_path / "fork")
    fork.run("git", "switch", "-qc", BRANCH)
    params = fork.path / "params.yaml"
    params.write_text(
        params.read_text(encoding="utf-8").replace(
            "learning_rate: 0.01", "learning_rate: 0.0001", 1
        ),
        encoding="utf-8",
    )
    sha = fork.commit("A lower learning rate")
    upstream.run("git", "fetch", "-q", str(fork.path), f"{sha}:refs/pull/7/head")

    # cml.yaml, in a fresh clone with the default branch's cache and without any right
    runner = upstream.clone(tmp_path / "runner")
    runner.run("git", "fetch", "-q", "origin", "refs/pull/7/head")
    runner.run("git", "checkout", "-q", "--detach", sha)
    shutil.copytree(upstream.path / ".dvc" / "cache", runner.path / ".dvc" / "cache")
    runner.set_up()
    head = {"ref": BRANCH, "sha": sha, "repo": repository("stranger", 2)}
    base = {"ref": "trunk", "sha": upstream.run("git", "rev-parse", "trunk").strip()}
    event = {
        "repository": {"default_branch": "trunk"},
        "pull_request": {"number": 7, "head": head, "base": base},
    }
    printed = runner.job("cml", "train", **files(tmp_path / "untrusted", event))

    assert re.findall(r"Running stage '(.+)':", printed) == [
        "train@relu_8",
        "compare",
        "export",
        "model_card",
    ]
    summary = (tmp_path / "untrusted" / "STEP_SUMMARY").read_text(encoding="utf-8")
    assert "✕ **Stale in git**" in summary  # the fork did not commit its results
    assert "regressed: `relu_8`" in summary
    assert (tmp_path / "untrusted" / "OUTPUT").read_text(
        encoding="utf-8"
    ) == "stale=true\noffer=false\n"

    # report.yaml, in a fresh clone of the default branch
    trusted = upstream.clone(tmp_path / "trusted")
    trusted.set_up()
    artifact = zipped({"report.json": (runner.path / "report" / "report.json").read_bytes()})
    with serving(GitHub("trunk")) as github, recording(tmp_path) as (path, calls):
        pull = github.add_pull(7, sha, BRANCH, repository("stranger", 2), base="trunk")
        values = files(tmp_path / "page", github.add_run(30, pull, artifact))
        values |= {"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "owner/lab"}
        values |= {"GITHUB_SERVER_URL": "https://github.com"}
        trusted.job("report", "page", **values)
        assert (tmp_path / "page" / "OUTPUT").read_text(encoding="utf-8") == "is_ready=true\n"
        printed = trusted.job("report", "post", **values, PATH=path)
        drawn = github.files("report-pictures")

        (comment,) = calls()
        (check,) = github.checks
        assert (check["head_sha"], check["conclusion"]) == (sha, "failure")
        assert comment["arguments"] == COMMENT
        assert comment["token"] == "the-token"  # noqa: S105
        assert comment["markdown"].startswith("<!-- fair-trial report -->\n\n✕ **Stale in git**")
        pictures = re.findall(rf"blob/(\w+)/{sha}/7/([\w-]+\.png)\?raw=true", comment["markdown"])
        assert {commit for commit, _ in pictures} == {github.refs["report-pictures"]}
        assert {f"{sha}/7/{name}" for _, name in pictures} <= set(drawn)
        assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    assert f"{sha[:12]}: failure" in printed
    assert not list(tmp_path.rglob("pwned"))


def files(folder: Path, event) -> dict[str, str]:
    """The variables by which a runner and its steps speak to each other."""
    folder.mkdir()
    (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
    names = {"OUTPUT": "OUTPUT", "STEP_SUMMARY": "STEP_SUMMARY", "EVENT_PATH": "event.json"}
    paths = {f"GITHUB_{variable}": str(folder / name) for variable, name in names.items()}
    return {**paths, "GITHUB_RUN_ID": "30"}


@contextlib.contextmanager
def recording(folder: Path):
    """A recording `cml` on PATH; yields that PATH, and a function that returns its calls."""
    programs = folder / "programs"
    programs.mkdir()
    log = folder / "cml.log"
    program = programs / "cml"
    program.write_text(
        RECORDER.format(python=sys.executable, log=str(log), code=0), encoding="utf-8"
    )
    program.chmod(0o755)
    yield (
        os.pathsep.join([str(programs), os.environ["PATH"]]),
        lambda: [json.loads(line) for line in io.StringIO(log.read_text(encoding="utf-8"))],
    )


SLIPS = [
    ("learning_rate: 0.01", "learning_rat: 0.01", None, "did you mean learning_rate?"),
    ("margin: 0.001", "margin: 0.001\n  metric: macro_f", "compare", "did you mean macro_f1?"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "stage", "advice"), SLIPS)
def test_a_slip_in_params_is_handed_over_in_one_line(upstream, tmp_path, old, new, stage, advice):
    runner = upstream.clone(tmp_path / "runner")
    runner.set_up()
    params = runner.path / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    sha = runner.commit("A slip")
    base = upstream.run("git", "rev-parse", "trunk").strip()
    event = {"pull_request": {"number": 7, "base": {"ref": "trunk", "sha": base}}}
    shutil.copytree(upstream.path / ".dvc" / "cache", runner.path / ".dvc" / "cache")

    runner.job("cml", "train", fails=True, **files(tmp_path / "job", event))

    given = json.loads((runner.path / "report" / "failure.json").read_text(encoding="utf-8"))
    assert (given["commit"], given["baseline"], given["stage"]) == (sha, base, stage)
    assert [line for line in given["lines"] if line.endswith(advice)]
    assert advice in (tmp_path / "job" / "STEP_SUMMARY").read_text(encoding="utf-8")
    assert not (runner.path / "report" / "report.json").exists()


@pytest.mark.slow
def test_a_set_up_that_fails_is_handed_over_too(upstream, tmp_path):
    """Before any package is there: what says so runs with the machine's own Python."""
    runner = upstream.clone(tmp_path / "runner")
    (runner.path / "requirements.txt").write_text("uv==0.0.0 --hash=sha256:0\n", encoding="utf-8")
    runner.commit("A version that there never was")

    runner.job("cml", "train", fails=True, **files(tmp_path / "job", {}), PIP_NO_INDEX="1")

    given = json.loads((runner.path / "report" / "failure.json").read_text(encoding="utf-8"))
    assert given["baseline"] == upstream.run("git", "rev-parse", "trunk").strip()
    assert any("uv==0.0.0" in line for line in given["lines"])
