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
from github_server import GitHub, repository, serving, zipped
from pull_requests import CHECK, COMMENT, RECORDER
from ruamel.yaml import YAML
from support import PATIENCE_SECONDS, SMALL, copy_of_the_code
from test_documents import make_targets

ROOT = Path(__file__).parent.parent
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github/workflows").glob("*.yaml"))}
OWN_BRANCH = "github.event.pull_request.head.repo.full_name == github.repository"


def loaded(name: str) -> dict:
    return YAML(typ="safe").load(WORKFLOWS[name].read_text())


def triggers(name: str) -> dict:
    return loaded(name)["on"]


JOBS = [(name, job) for name in WORKFLOWS for job in loaded(name)["jobs"]]
STEPS = [
    (name, job, step) for name, job in JOBS for step in loaded(name)["jobs"][job]["steps"]
]  # fmt: skip


def test_the_workflows_and_their_triggers():
    assert set(WORKFLOWS) == {"check", "cml", "report", "verify"}
    assert set(triggers("verify")) == {"schedule", "workflow_dispatch"}
    assert set(triggers("check")) == set(triggers("cml")) == {"push", "pull_request"}
    assert set(triggers("report")) == {"workflow_run"}
    assert triggers("report")["workflow_run"]["workflows"] == [loaded("cml")["name"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_right_that_a_job_does_not_ask_for(name):
    assert loaded(name)["permissions"] == {}
    for job in loaded(name)["jobs"].values():
        assert job["permissions"]
        assert job["timeout-minutes"] <= 60


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
        ("cml", "offer"): ["contents", "pull-requests"],
        ("report", "page"): ["contents"],
        ("report", "post"): ["checks", "pull-requests"],
    }


def test_no_job_with_rights_checks_out_a_pull_request():
    for name, job in JOBS:
        rights = loaded(name)["jobs"][job]["permissions"]
        for step in loaded(name)["jobs"][job]["steps"]:
            if "write" in rights.values() and "checkout" in step.get("uses", ""):
                ref = step["with"].get("ref", "")
                assert ref in ("", "${{ github.event.pull_request.base.sha }}")


@pytest.mark.parametrize(("name", "job", "step"), STEPS)
def test_a_step_is_one_command_of_make_or_a_pinned_action(name, job, step):
    if "run" in step:
        words = step["run"].split()
        assert words[0] == "make"
        assert words[1] in make_targets()
        assert "${{" not in step["run"]
        assert len(step["run"].splitlines()) == 1
    else:
        line = next(
            line for line in WORKFLOWS[name].read_text().splitlines() if step["uses"] in line
        )
        assert re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d", line)
    if "checkout" in step.get("uses", ""):
        assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize(("name", "job", "step"), STEPS)
def test_secrets_reach_only_steps_of_this_repositorys_own_branches(name, job, step):
    if "secrets." in json.dumps(step):
        assert step["run"] in ("make pull", "make push")
        assert " ".join(step["if"].split()) == f"github.event_name == 'push' || {OWN_BRANCH}"


def test_a_machine_of_ones_own_runs_no_code_of_forks():
    for name, job in JOBS:
        machine = " ".join(str(loaded(name)["jobs"][job]["runs-on"]).split())
        if "vars." in machine:
            assert f"(github.event_name == 'push' || {OWN_BRANCH}) && vars.RUNS_ON" in machine


@pytest.mark.parametrize("name", ["report", "verify"])
def test_the_trusted_side_and_a_rebuild_from_nothing_use_no_cache(name):
    assert "cache" not in json.dumps(loaded(name))


def test_a_cache_of_results_is_of_all_the_code_that_makes_them():
    """Another key would save no cache after a change of that code."""
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].values()
    made_or_read = {dep for stage in pipeline for dep in stage.get("do", stage)["deps"]}
    code = {dep for dep in made_or_read if dep.split("/")[0] not in ("data", "metrics", "models")}
    keys = [
        step["with"]["key"]
        for _, _, step in STEPS
        if "cache/restore" in step.get("uses", "") and ".dvc/cache" in step["with"]["path"]
    ]

    assert len(keys) == 1
    hashed = set(re.findall(r"'([^']+)'", keys[0]))
    folders = tuple(name.removesuffix("**") for name in hashed if name.endswith("/**"))
    assert {name for name in code - hashed if not f"{name}/".startswith(folders)} == set()
    assert {"dvc.yaml", "params.yaml", "requirements.txt"} <= hashed


def test_every_action_has_one_version():
    found: dict[str, set[str]] = {}
    for path in WORKFLOWS.values():
        for action, version in re.findall(r"uses: ([\w-]+/[\w-]+)\S*@(.*)", path.read_text()):
            found.setdefault(action, set()).add(version)

    assert all(len(versions) == 1 for versions in found.values()), found


def test_rendering_needs_only_the_packages_that_are_installed_for_it():
    """`make setup TORCH=none` installs these and what they depend on."""
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.search(r"^RENDERING := (.*)$", makefile, re.MULTILINE)[1].split("|"))
    script = (
        "import sys, importlib.metadata as m; import pull_request, lab.report.pictures;"
        "found = m.packages_distributions();"
        "print(*{d for n in sys.modules for d in found.get(n, [])})"
    )
    # `make coverage` would import itself there.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    loaded_packages = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT, env=kept, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    packages = {re.sub("[._]", "-", name.lower()) for name in loaded_packages.split()}
    compiled = (ROOT / "requirements.txt").read_text()
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
            text=True, timeout=PATIENCE_SECONDS, check=False,
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
        for name in ("bin", "lib", "pyvenv.cfg"):
            (venv / name).symlink_to(Path(sys.prefix) / name)
        for marker in ("ready-cpu", "ready-none"):
            (venv / marker).touch()

    def job(self, workflow: str, job: str, **values: str) -> str:
        """Runs the commands of a job's steps, one after the other; returns what they print.

        Steps with secrets are for the repository's own branches; the rest is given nothing but
        `values`, and a token where the step asks for one.
        """
        printed = ""
        for step in loaded(workflow)["jobs"][job]["steps"]:
            asked = step.get("env", {})
            if "run" not in step or "secrets." in json.dumps(asked) or step["run"] == "make trim":
                continue
            token = {"GITHUB_TOKEN": "the-token"} if "GITHUB_TOKEN" in asked else {}
            shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
            printed += self.run(*shell, **values, **token)
        return printed


@pytest.fixture(scope="module")
def upstream(tmp_path_factory, empty_store) -> Folder:
    """The repository with small settings and the results of them, as on the default branch."""
    if sys.platform == "win32":
        pytest.skip("runs the steps in bash")
    one_model = re.sub(r"  linear_4:\n(    .*\n)+", "", SMALL)
    folder = tmp_path_factory.mktemp("upstream") / "lab"
    made = repository_of(folder, one_model, empty_store)
    made.dvc("repro", "--quiet", "train")
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
    (folder / "params.yaml").write_text(params)
    made = Folder(folder, environment)
    made.run("git", "init", "-q", "-b", "main")
    made.set_up()
    made.commit("The code")
    return made


@pytest.mark.slow
def test_from_a_forks_commit_to_the_comment(upstream, tmp_path):
    # somebody forks the repository, changes a model, and opens a pull request
    fork = upstream.clone(tmp_path / "fork")
    fork.run("git", "switch", "-qc", BRANCH)
    params = fork.path / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.01", "learning_rate: 0.0001", 1))
    sha = fork.commit("A lower learning rate")
    upstream.run("git", "fetch", "-q", str(fork.path), f"{sha}:refs/pull/7/head")

    # cml.yaml, in a fresh clone with the default branch's cache and without any right
    runner = upstream.clone(tmp_path / "runner")
    runner.run("git", "fetch", "-q", "origin", "refs/pull/7/head")
    runner.run("git", "checkout", "-q", "--detach", sha)
    shutil.copytree(upstream.path / ".dvc" / "cache", runner.path / ".dvc" / "cache")
    runner.set_up()
    head = {"ref": BRANCH, "sha": sha, "repo": repository("stranger", 2)}
    base = {"ref": "main", "sha": upstream.run("git", "rev-parse", "main").strip()}
    event = {
        "repository": {"default_branch": "main"},
        "pull_request": {"number": 7, "head": head, "base": base},
    }
    printed = runner.job("cml", "train", **files(tmp_path / "untrusted", event))

    assert re.findall(r"Running stage '(.+)':", printed) == ["train@relu_8", "compare"]
    summary = (tmp_path / "untrusted" / "STEP_SUMMARY").read_text()
    assert "**Regressed**: `relu_8`" in summary
    assert (tmp_path / "untrusted" / "OUTPUT").read_text() == "stale=true\n"

    # report.yaml, in a fresh clone of the default branch
    trusted = upstream.clone(tmp_path / "trusted")
    trusted.set_up()
    artifact = zipped({"report.json": (runner.path / "report" / "report.json").read_bytes()})
    with serving(GitHub()) as github, recording(tmp_path) as (path, calls):
        pull = github.add_pull(7, sha, BRANCH, repository("stranger", 2))
        values = files(tmp_path / "page", github.add_run(30, pull, artifact))
        values |= {"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": "owner/lab"}
        values |= {"GITHUB_SERVER_URL": "https://github.com"}
        trusted.job("report", "page", **values)
        assert (tmp_path / "page" / "OUTPUT").read_text() == "is_ready=true\n"
        printed = trusted.job("report", "post", **values, PATH=path)
        drawn = github.files("report-pictures")

        check, comment = calls()
        assert check["arguments"] == [
            {"neutral": "failure"}.get(word, word.replace("2" * 40, sha)) for word in CHECK
        ]
        assert comment["arguments"] == COMMENT
        assert {check["token"], comment["token"]} == {"the-token"}
        assert comment["markdown"].startswith("<!-- fair-trial report -->\n\n▼ **Regressed**")
        pictures = re.findall(rf"blob/(\w+)/{sha}/([\w-]+\.png)\?raw=true", comment["markdown"])
        assert {commit for commit, _ in pictures} == {github.refs["report-pictures"]}
        assert {f"{sha}/{name}" for _, name in pictures} <= set(drawn)
        assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    assert "#7: failure" in printed
    assert not list(tmp_path.rglob("pwned"))


def files(folder: Path, event) -> dict[str, str]:
    """The variables by which a runner and its steps speak to each other."""
    folder.mkdir()
    (folder / "event.json").write_text(json.dumps(event))
    names = {"OUTPUT": "OUTPUT", "STEP_SUMMARY": "STEP_SUMMARY", "EVENT_PATH": "event.json"}
    return {f"GITHUB_{variable}": str(folder / name) for variable, name in names.items()}


@contextlib.contextmanager
def recording(folder: Path):
    """A recording `cml` on PATH; yields that PATH, and a function that returns its calls."""
    programs = folder / "programs"
    programs.mkdir()
    log = folder / "cml.log"
    program = programs / "cml"
    program.write_text(RECORDER.format(python=sys.executable, log=str(log), code=0))
    program.chmod(0o755)
    yield (
        os.pathsep.join([str(programs), os.environ["PATH"]]),
        lambda: [json.loads(line) for line in io.StringIO(log.read_text())],
    )


# --- merging -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_merge_of_two_branches_is_one_command(tmp_path, empty_store):
    if sys.platform == "win32":
        pytest.skip("its folder of packages is made of links")
    lab = repository_of(tmp_path / "lab", SMALL, empty_store)
    lab.dvc("repro", "--quiet")
    lab.commit("Results of both")
    params = lab.path / "params.yaml"
    for branch, model in (("relu", 0), ("linear", 1)):
        lab.run("git", "switch", "-qc", branch, "main")
        rates = params.read_text().split("learning_rate: 0.01")
        rates[model] += "learning_rate: 0.02" + rates.pop(model + 1)
        params.write_text("learning_rate: 0.01".join(rates))
        lab.dvc("repro", "--quiet")
        lab.commit(f"Another learning rate of {branch}")

    merged = subprocess.run(
        ["git", "merge", "relu"],
        cwd=lab.path,
        env=lab.environment,
        capture_output=True,
        check=False,
    )
    assert b"Merge conflict in dvc.lock" in merged.stdout
    assert params.read_text().count("learning_rate: 0.02") == 2
    printed = lab.run("make", "merged")

    assert re.findall(r"Running stage '(.+)':", printed) == ["compare"]  # the cache had the rest
    lab.run("git", "commit", "-qm", "Merge")
    assert lab.run("git", "status", "--porcelain") == ""
    assert "up to date" in lab.dvc("status")
