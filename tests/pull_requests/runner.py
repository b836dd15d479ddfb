"""Runs a workflow's jobs as GitHub's machines do: the real file, its steps in order, real clones.

Commands run as they stand in the file, by bash and make. Only the trusted side's steps may run in
this process instead, in the same clone and with the same variables, because loading Python costs
more than they do. Actions are stood in for: a checkout is git's, a cache is a folder.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import traceback
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from expressions import Happened, conditioned, interpolate, is_true, needed
from github_server import zipped
from ruamel.yaml import YAML
from support import PATIENCE_SECONDS

import pull_request
from lab.base.errors import LabError

IN_PROCESS = re.compile(r"make pull-request STEP=(begin|page|post|sweep|offer) TORCH=none")
HIDDEN = ("GITHUB_", "MLFLOW", "DAGSHUB", "MAKE", "MFLAGS", "DVC_", "RUNS_ON", "OFFER_", "COV")
TOKEN = "the-token"  # noqa: S105 a stand-in's


@dataclass
class JobResult:
    """What became of a job."""

    result: str
    name: str
    outputs: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    summary: str = ""
    artifacts: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """What all jobs share: where the repository is, what GitHub keeps, and how steps run."""

    folder: Path  # for the jobs' own
    origin: Path
    store: Path  # an empty MLflow store, because making one takes seconds
    caches: dict[str, Path]  # by key; their paths below the folder as they were in the job's
    api_url: str
    is_real: bool = False  # every step as a program

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(HIDDEN)}
        identity = {"NAME": "t", "EMAIL": "t@example.org"}
        return {
            **kept,
            **{f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER")
               for key, value in identity.items()},
            "CI": "true", "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.api_url, "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "owner/lab",
        }  # fmt: skip


def loaded(content: str) -> dict[str, Any]:
    return YAML(typ="safe").load(content)


class Work:
    """One job under way."""

    def __init__(
        self,
        machine: Machine,
        folder: Path,
        job: Mapping[str, Any],
        contexts: dict[str, Any],
        artifacts: Mapping[str, bytes],
        variables: Mapping[str, Any],
    ) -> None:
        self.machine, self.path, self.job = machine, folder / "work", job
        self.files = folder
        self.steps: dict[str, Any] = {}
        self.contexts = {**contexts, "steps": self.steps}
        self.results: list[str] = []
        self.done = JobResult("success", str(job.get("name", "")))
        self.left = dict(artifacts)  # by jobs before this one
        self.path.mkdir(parents=True)
        (folder / "event.json").write_text(
            json.dumps(contexts["github"]["event"]), encoding="utf-8"
        )
        self.environment = {
            **machine.environment(),
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "GITHUB_EVENT_NAME": contexts["github"]["event_name"],
            "GITHUB_SHA": contexts["github"]["sha"],
            "GITHUB_REF": contexts["github"]["ref"],
            "GITHUB_RUN_ID": str(contexts["github"]["run_id"]),
            "GITHUB_WORKSPACE": str(self.path),
        }
        said = self._said({**variables, **job.get("env", {})})
        self.environment |= said
        self.contexts["env"] = said
        self.crashes: list[str] = []

    def _said(self, variables: Mapping[str, Any]) -> dict[str, str]:
        found = interpolate(dict(variables), self.contexts, {"hashFiles": self._hash})
        return {key: text(value) for key, value in found.items()}

    def run(self) -> JobResult:
        for number, step in enumerate(self.job["steps"]):
            self._step(step, number)
        self.done.result = "failure" if "failure" in self.results else "success"
        outputs = interpolate(dict(self.job.get("outputs", {})), self.contexts)
        self.done.outputs = {key: text(value) for key, value in outputs.items()}
        summary = self.files / "summary.md"
        self.done.summary = summary.read_text(encoding="utf-8") if summary.exists() else ""
        return self.done

    def _step(self, step: Mapping[str, Any], number: int) -> None:
        outputs: dict[str, str] = {}
        condition = str(step.get("if", "success()"))
        if not is_true(conditioned(condition, self.contexts, self.results)):
            self._note(step, "skipped", outputs)
            return
        file = self.files / f"output-{number}"
        file.touch()
        try:
            if "run" in step:
                self._command(step, {"GITHUB_OUTPUT": str(file)})
                outputs |= dict(
                    re.findall(r"(?m)^([\w-]+)=(.*)$", file.read_text(encoding="utf-8"))
                )
            else:
                outputs |= self._action(step) or {}
            outcome = "success"
        except StepError as error:
            self.done.printed += f"{error}\n"
            outcome = "failure"
        self._note(step, outcome, outputs)

    def _note(self, step: Mapping[str, Any], outcome: str, outputs: dict[str, str]) -> None:
        forgiven = outcome == "failure" and step.get("continue-on-error") is True
        conclusion = "success" if forgiven else outcome
        self.results += [] if conclusion == "skipped" else [conclusion]
        if "id" in step:
            self.steps[step["id"]] = {
                "outputs": outputs, "outcome": outcome, "conclusion": conclusion,
            }  # fmt: skip

    # --- commands

    def _command(self, step: Mapping[str, Any], more: Mapping[str, str]) -> None:
        asked = step.get("env", {})
        if "secrets." in json.dumps(asked) or step["run"] == "make trim":
            return  # there is no secret here, nor anything to trim
        variables = {**self.environment, **self._said(asked), **more}
        if not self._is_done_here(step["run"]):
            self._there(step["run"], variables)
        elif named := IN_PROCESS.fullmatch(step["run"]):
            self._here(named[1], variables)

    def _there(self, command: str, variables: Mapping[str, str]) -> None:
        if (self.path / "Makefile").exists():
            lend_packages(self.path, self.machine.store)
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command)
        done = subprocess.run(
            shell, cwd=self.path, env=dict(variables), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        self.done.printed += f"$ {command}\n{done.stdout}"
        if done.returncode:
            raise StepError(f"{command}: ended with {done.returncode}")

    def _here(self, step: str, variables: Mapping[str, str]) -> None:
        printed = io.StringIO()
        try:
            with (
                patch.dict(os.environ, dict(variables), clear=True),
                patch.object(sys, "argv", ["pull_request.py", step]),
                contextlib.chdir(self.path),
                contextlib.redirect_stdout(printed),
            ):
                pull_request.main()
        except LabError as error:
            raise StepError(f"{step}: {error}") from None
        except Exception:
            self.crashes.append(traceback.format_exc())
            raise StepError(f"{step}: {traceback.format_exc()}") from None
        finally:
            self.done.printed += f"$ {step}\n{printed.getvalue()}"

    # --- actions

    def _action(self, step: Mapping[str, Any]) -> dict[str, str] | None:
        action = step["uses"].partition("@")[0]
        functions = {"hashFiles": self._hash}
        given = interpolate(dict(step.get("with", {})), self.contexts, functions)
        stand_in = {
            "actions/checkout": self._checkout,
            "actions/setup-python": lambda _: None,
            "actions/cache/restore": self._restore,
            "actions/cache/save": self._save,
            "actions/upload-artifact": self._upload,
            "actions/download-artifact": self._download,
            "iterative/setup-cml": lambda _: None,
        }[action]
        return stand_in(given)

    def _git(self, *arguments: str) -> None:
        try:
            git(self.path, *arguments)
        except subprocess.CalledProcessError as error:
            raise StepError(f"git {shlex.join(arguments)}: {error.stderr}") from None

    def _checkout(self, given: Mapping[str, Any]) -> None:
        """As the action does: no origin/HEAD, and all branches and tags only with a depth of 0.

        Where no program is run on them, no files are laid out, and objects are borrowed.
        """
        github = self.contexts["github"]
        ref = str(given.get("ref") or github["sha"])
        is_here = all(
            self._is_done_here(step["run"]) for step in self.job["steps"] if "run" in step
        )
        is_whole = int(given.get("fetch-depth", 1)) == 0
        self._git("init", "-q", ".")
        self._git("remote", "add", "origin", f"file://{self.machine.origin}")
        if is_whole or is_here:
            borrowed = self.path / ".git/objects/info/alternates"
            borrowed.write_text(f"{self.machine.origin}/objects\n", encoding="utf-8")
        if is_whole:
            branches, tags = "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"
            self._git("fetch", "-q", "origin", branches, tags)
        self._git("fetch", "-q", *([] if is_whole or is_here else ["--depth=1"]), "origin", ref)
        if is_here:
            self._git("update-ref", "--no-deref", "HEAD", "FETCH_HEAD")
        else:
            self._git("checkout", "-q", "--detach", "FETCH_HEAD")

    def _is_done_here(self, command: str) -> bool:
        """Whether it runs in this process, or needs not to run."""
        is_known = IN_PROCESS.fullmatch(command) or command == "make setup TORCH=none"
        return bool(is_known) and not self.machine.is_real

    def _hash(self, *patterns: str) -> str:
        found = hashlib.sha256()
        for pattern in patterns:
            for path in sorted(
                self.path.glob(f"{pattern}/*" if pattern.endswith("**") else pattern)
            ):
                if path.is_file():
                    found.update(path.read_bytes())
        return found.hexdigest()

    def _restore(self, given: Mapping[str, Any]) -> dict[str, str]:
        key, caches = str(given["key"]), self.machine.caches
        prefixes = [key, *str(given.get("restore-keys", "")).split()]
        hit = next(
            (one for prefix in prefixes for one in reversed(caches) if one.startswith(prefix)), None
        )
        if hit:
            linked_copy(caches[hit], self.path)
        return {"cache-hit": str(hit == key).lower(), "cache-primary-key": key}

    def _save(self, given: Mapping[str, Any]) -> None:
        folder = self.machine.folder / "caches" / str(len(self.machine.caches))
        for name in str(given["path"]).split():
            if (self.path / name).exists():
                linked_copy(self.path / name, folder / name)
        self.machine.caches.setdefault(str(given["key"]), folder)

    def _upload(self, given: Mapping[str, Any]) -> None:
        """One archive; names begin where the paths that are looked for part."""
        patterns = str(given["path"]).split()
        found = [path for pattern in patterns for path in sorted(self.path.glob(pattern))]
        files = [one for path in found for one in _files(path)]
        if not files:
            if given.get("if-no-files-found", "warn") == "error":
                raise StepError(f"No files were found with the provided path: {patterns}")
            return
        many = len(patterns) > 1
        root = Path(os.path.commonpath([self.path / one for one in patterns]))
        if not many and (root.is_file() or "*" in patterns[0]):
            root = root.parent
        members = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
        self.done.artifacts[str(given["name"])] = zipped(members)

    def _download(self, given: Mapping[str, Any]) -> None:
        name = str(given["name"])
        if name not in self.left:
            raise StepError(f"Unable to find an artifact with the name: {name}")
        with zipfile.ZipFile(io.BytesIO(self.left[name])) as archive:
            archive.extractall(self.path / str(given.get("path", ".")))


def text(value: Any) -> str:
    """A value as GitHub writes it into a variable."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class StepError(Exception):
    """A step failed; its message is what the log says."""


def run_job(
    machine: Machine,
    folder: Path,
    key: str,
    workflow: Mapping[str, Any],
    contexts: dict[str, Any],
    artifacts: Mapping[str, bytes],
) -> tuple[JobResult, list[str]]:
    """Runs one job; returns what became of it, and the bugs that its steps ended in."""
    work = Work(
        machine, folder, workflow["jobs"][key], contexts, artifacts, workflow.get("env", {})
    )
    return work.run(), work.crashes


def context(happened: Happened, **more: Any) -> dict[str, Any]:
    """The contexts of a job."""
    found = happened.contexts
    github = {"token": TOKEN, "server_url": "https://github.com", **found["github"], **more}
    return {**found, "github": github, "secrets": {}}


def runs(
    key: str,
    workflow: Mapping[str, Any],
    contexts: Mapping[str, Any],
    before: Mapping[str, JobResult],
) -> bool:
    """Whether a job runs, after those before it."""
    job = workflow["jobs"][key]
    results = [before[name].result for name in _ancestors(key, workflow["jobs"])]
    return is_true(conditioned(str(job.get("if", "success()")), contexts, results))


def needs(
    key: str, workflow: Mapping[str, Any], before: Mapping[str, JobResult]
) -> dict[str, dict[str, Any]]:
    """The context `needs` of a job."""
    return {
        name: {"result": before[name].result, "outputs": before[name].outputs}
        for name in needed(workflow["jobs"][key])
    }


def ordered(workflow: Mapping[str, Any]) -> Sequence[str]:
    """The jobs, each after those that it needs."""
    found: list[str] = []
    while len(found) < len(workflow["jobs"]):
        found.append(
            next(
                key
                for key, job in workflow["jobs"].items()
                if key not in found and {*needed(job)} <= {*found}
            )
        )
    return found


def _ancestors(key: str, every: Mapping[str, Any]) -> set[str]:
    direct = {*needed(every[key])}
    return direct.union(*(_ancestors(one, every) for one in direct))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [one for one in sorted(path.rglob("*")) if one.is_file()]


def linked_copy(source: Path, target: Path) -> None:
    """Copies a folder whose files are only ever replaced, never written in place."""
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def lend_packages(folder: Path, store: Path) -> None:
    """Lends a clone the packages that are installed here, as if `make setup` had run."""
    venv = folder / ".venv"
    if (venv / "bin").exists():
        return
    venv.mkdir(exist_ok=True)
    for name in ("bin", "lib"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    made = Path(sys.prefix, "pyvenv.cfg").read_text(encoding="utf-8")
    (venv / "pyvenv.cfg").write_text(made.replace(sys.prefix, str(venv)), encoding="utf-8")
    for marker in ("ready", "ready-cpu", "ready-none"):
        (venv / marker).touch()
    if not (folder / "mlflow.db").exists():
        shutil.copy(store, folder / "mlflow.db")


def git(folder: Path, *arguments: str, given: bytes = b"", **variables: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, input=given, capture_output=True, check=True,
        env={**os.environ, **variables},
    )  # fmt: skip
    return done.stdout.decode().strip()
