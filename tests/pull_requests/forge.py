"""A repository at GitHub for real: bare git repositories, the stand-in server, and the workflows.

It does what people and GitHub do, sends the events that GitHub sends, and runs the jobs of cml.yaml
and report.yaml that the files themselves say. Which event starts what, and what starts nothing:
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
"""

import base64
import copy
import hashlib
import json
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from expressions import Happened, group, starts
from github_server import BOT, CHECK, NAME, OWNER, GitHub, RefusedError, repository, stamp
from pull_requests import runner
from pull_requests.runner import JobResult, Machine, git
from pull_requests.workshop import RECIPES, TRUNK, Workshop

FILES = {"cml": "cml.yaml", "report": "report.yaml"}
FROM_THE_DEFAULT_BRANCH = ("workflow_run", "pull_request_target", "schedule")
MEASURES = "train"  # the job that costs, made once for all tests of the same commits


class Backed(GitHub):
    """The stand-in with its branches and objects in a bare repository, and the clock of today."""

    def __init__(self, bare: Path, moved: Callable[[str, str | None, str], None]) -> None:
        self.bare, self.moved = bare, moved
        super().__init__(TRUNK)
        self.dispatchable = {"cml.yaml": ["base"], "check.yaml": []}

    def now(self) -> str:
        self._time = max(self._time + timedelta(seconds=1), datetime.now(UTC))
        return stamp(self._time)

    @property
    def refs(self) -> dict[str, str]:
        listed = git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/")
        pairs = (line.split(" ") for line in listed.splitlines())
        return {name.removeprefix("refs/heads/"): sha for name, sha in pairs}

    @refs.setter
    def refs(self, value: object) -> None:
        """Of a repository for real, nobody sets them all."""

    def _set_ref(self, branch: str, sha: str) -> None:
        before = self.refs.get(branch)
        git(self.bare, "update-ref", f"refs/heads/{branch}", sha)
        self.moved(branch, before, sha)

    def files(self, branch: str) -> dict[str, bytes]:
        names = git(self.bare, "ls-tree", "-r", "--name-only", branch).splitlines()
        return {name: git(self.bare, "show", f"{branch}:{name}").encode() for name in names}

    def get_pull(self, query, body, number):
        self.settle(self._pull(number))
        return super().get_pull(query, body, number)

    def settle(self, pull: dict[str, Any]) -> None:
        """Works out whether it has conflicts."""
        if pull["state"] == "open" and pull["base"]["ref"] in self.refs:
            pull["mergeable"] = self._merge(pull) is not None

    def _merge(self, pull: dict[str, Any]) -> str | None:
        """The tree of a merge; None where there are conflicts."""
        ends = self.refs[pull["base"]["ref"]], pull["head"]["sha"]
        try:
            return git(self.bare, "merge-tree", "--write-tree", *ends).splitlines()[0]
        except CalledProcessError:
            return None

    def merge_commit(self, pull: dict[str, Any], parents: tuple[str, ...] = ()) -> str:
        tree = self._merge(pull)
        if tree is None:
            raise RefusedError(405, "Pull Request is not mergeable")
        parents = parents or (self.refs[pull["base"]["ref"]], pull["head"]["sha"])
        return self.add_commit(tree, parents, f"Merge #{pull['number']}")

    def _merged(self, pull):
        sha = self.merge_commit(pull)
        self._set_ref(pull["base"]["ref"], sha)
        return sha

    def create_ref(self, query, body):
        branch = body["ref"].removeprefix("refs/heads/")
        if branch in self.refs:
            raise RefusedError(422, "Reference already exists")
        self._set_ref(branch, body["sha"])
        return 201, {"ref": body["ref"], "object": {"sha": body["sha"]}}

    def edit_ref(self, query, body, branch):
        if branch not in self.refs:
            raise RefusedError(422, "Reference does not exist")
        if not body["force"] and not self._descends(body["sha"], self.refs[branch]):
            raise RefusedError(422, "Update is not a fast forward")
        self._set_ref(branch, body["sha"])
        return 200, {"ref": f"refs/heads/{branch}", "object": {"sha": body["sha"]}}

    def _descends(self, sha, ancestor):
        return git(self.bare, "merge-base", sha, ancestor) == ancestor

    def create_blob(self, query, body):
        content = base64.b64decode(body["content"])
        return 201, {"sha": git(self.bare, "hash-object", "-w", "--stdin", given=content)}

    def create_tree(self, query, body):
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            if "base_tree" in body:
                git(self.bare, "read-tree", body["base_tree"], **index)
            lines = [
                f"{one['mode']} {one['sha']}\t{one['path']}" if one["sha"]
                else f"0 {'0' * 40}\t{one['path']}"
                for one in body["tree"]
            ]  # fmt: skip
            given = "\n".join(lines).encode() + b"\n"
            git(self.bare, "update-index", "--index-info", given=given, **index)
            return 201, {"sha": git(self.bare, "write-tree", **index)}

    def get_tree(self, query, body, sha):
        listed = git(self.bare, "ls-tree", "-r", sha).splitlines()
        tree = [
            {"path": line.split("\t")[1], "type": "blob", "sha": line.split()[2]} for line in listed
        ]
        return 200, {"sha": sha, "tree": tree, "truncated": False}

    def add_commit(self, tree, parents=(), message=""):
        options = [word for parent in parents for word in ("-p", parent)]
        return git(self.bare, "commit-tree", tree, *options, "-m", message or "made")

    def get_commit(self, query, body, sha):
        return 200, {"sha": sha, "tree": {"sha": git(self.bare, "rev-parse", f"{sha}^{{tree}}")}}


@dataclass
class Run:
    """A run that waits for its turn, or had it; `record` is what the server shows of it."""

    workflow: str
    content: dict[str, Any]
    happened: Happened
    record: dict[str, Any]
    group: str
    only_job: str | None = None
    results: dict[str, JobResult] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """What the check of a pull request's newest commit said after a step, and what it loses."""

    after: str
    number: int
    losses: frozenset[str]
    conclusion: str | None


class Forge:
    """The repository, its forks, and what happens there. Nothing runs before `settle`."""

    def __init__(self, folder: Path, workshop: Workshop, store: Path) -> None:
        self.folder, self.workshop = folder, workshop
        self.bare = folder / "lab.git"
        self.variables: dict[str, str] = {}
        self.forks: dict[str, tuple[Path, dict[str, Any]]] = {}
        self.queue: list[Run] = []
        self.runs: list[Run] = []
        self.moments: list[Moment] = []
        self.crashes: list[str] = []
        self.before: dict[tuple[str, str], Callable[[], None]] = {}  # a job; called once
        self.numbers = 0
        self.is_real = False  # whether the trusted side's steps run as programs, too
        self.untold: set[int] = set()  # whose base was changed or rewound without an event
        self.is_remembering = True  # whether a commit's job that measures runs once for all tests
        self._clone(workshop.lab.folder, self.bare)
        self.github = Backed(self.bare, self._moved_by_request)
        self.is_bots = True  # what is asked of the server, a workflow's token asks
        self.store = store
        self.caches = {"dvc-saved": folder / "saved"}
        runner.linked_copy(workshop.cache, folder / "saved/.dvc/cache")
        self._set_branch(self.bare, TRUNK, workshop.commit(TRUNK))

    def _clone(self, source: Path, target: Path) -> None:
        git(self.folder, "clone", "-q", "--bare", "--single-branch", "-b", TRUNK,
            str(source), str(target))  # fmt: skip
        git(target, "config", "uploadpack.allowAnySHA1InWant", "true")

    def _set_branch(self, bare: Path, branch: str, sha: str) -> None:
        git(bare, "fetch", "-q", str(self.workshop.lab.folder), "+refs/heads/*:refs/workshop/*")
        git(bare, "update-ref", f"refs/heads/{branch}", sha)
        for line in git(bare, "for-each-ref", "--format=%(refname)", "refs/workshop").splitlines():
            git(bare, "update-ref", "-d", line)

    @property
    def machine(self) -> Machine:
        return Machine(
            self.folder / "machines",
            self.bare,
            self.store,
            self.caches,
            self.github.url,
            self.is_real,
        )

    # --- what people do

    def fork(self, login: str = "stranger", of: str | None = None) -> str:
        """Forks the repository, or another fork of it."""
        source = self.forks[of][0] if of else self.bare
        bare = self.folder / f"{login}.git"
        self._clone(source, bare)
        self.forks[login] = bare, repository(login, len(self.forks) + 2, default_branch=TRUNK)
        return login

    def push(self, branch: str, commit: str, fork: str | None = None, by_bot: bool = False) -> str:
        """Lets a branch be at a commit, by its name or its digits, whatever was there."""
        sha = self.workshop.commit(commit) if commit in {TRUNK, *RECIPES} else commit
        bare, _ = self._place(fork)
        before = self._tip(bare, branch)
        if commit in {TRUNK, *RECIPES}:
            self._set_branch(bare, branch, sha)
        else:
            git(bare, "update-ref", f"refs/heads/{branch}", sha)
        self._moved(branch, fork, before, sha, by_bot)
        return sha

    def _place(self, fork: str | None) -> tuple[Path, dict[str, Any]]:
        return self.forks[fork] if fork else (self.bare, self.github.repository)

    def _tip(self, bare: Path, branch: str) -> str | None:
        try:
            return git(bare, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
        except CalledProcessError:
            return None

    def _moved(
        self, branch: str, fork: str | None, before: str | None, sha: str, by_bot: bool
    ) -> None:
        """Pull requests follow their branch; what a workflow's own token pushes starts nothing."""
        _, source = self._place(fork)
        if fork is None and not by_bot:
            payload = {"ref": f"refs/heads/{branch}", "before": before or "0" * 40, "after": sha}
            self._happens("push", payload, sha, f"refs/heads/{branch}")
        for pull in self._open_pulls():
            if fork is None and pull["base"]["ref"] == branch and self._is_rewound(before, sha):
                self.untold.add(pull["number"])
            head = pull["head"]
            if head["repo"] and (head["repo"]["id"], head["ref"]) == (source["id"], branch):
                pull["head"] = {**head, "sha": sha}
                self._follow(pull, fork)
                if not by_bot:
                    self._of_pull("synchronize", pull, before=before, after=sha)

    def _is_rewound(self, before: str | None, sha: str) -> bool:
        return before is not None and git(self.bare, "merge-base", before, sha) != before

    def _open_pulls(self) -> list[dict[str, Any]]:
        return [pull for pull in self.github.pulls if pull["state"] == "open"]

    def _follow(self, pull: dict[str, Any], fork: str | None) -> None:
        sha = pull["head"]["sha"]
        if fork:
            git(self.bare, "fetch", "-q", str(self.forks[fork][0]), sha)
        git(self.bare, "update-ref", f"refs/pull/{pull['number']}/head", sha)
        self._refresh(pull)

    def _refresh(self, pull: dict[str, Any]) -> None:
        pull["base"]["sha"] = self._tip(self.bare, pull["base"]["ref"])
        pull["updated_at"] = self.github.now()
        self.github.settle(pull)

    def open(
        self, number: int, head: str, base: str = TRUNK, fork: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Opens a pull request of a branch that was pushed."""
        bare, source = self._place(fork)
        sha = self._tip(bare, head)
        pull = self.github.add_pull(number, str(sha), head, source, base, **more)
        pull["user"] = {"login": fork or OWNER, "id": 5, "type": "User"}
        self._follow(pull, fork)
        self._of_pull("opened", pull)
        return pull

    def retarget(self, number: int, base: str, *, is_told: bool = True) -> None:
        """Changes the base; GitHub tells nobody where a workflow's own token brought it about."""
        pull = self.github.pull(number)
        old = {"ref": {"from": pull["base"]["ref"]}, "sha": {"from": pull["base"]["sha"]}}
        pull["base"] = {**pull["base"], "ref": base, "label": f"{OWNER}:{base}"}
        self._refresh(pull)
        if is_told:
            self._of_pull("edited", pull, changes={"base": old})
        else:
            self.untold.add(number)

    def rename(self, number: int, title: str) -> None:
        pull = self.github.pull(number)
        changes = {"title": {"from": pull["title"]}}
        pull["title"] = title
        self._of_pull("edited", pull, changes=changes)

    def close(self, number: int) -> None:
        pull = self.github.pull(number)
        pull.update(state="closed", updated_at=self.github.now())
        self._of_pull("closed", pull)

    def reopen(self, number: int) -> None:
        pull = self.github.pull(number)
        pull["state"] = "open"
        self._refresh(pull)
        self._of_pull("reopened", pull)

    def label(self, number: int, login: str = OWNER, name: str = "") -> None:
        self._labels(self.github.add_label, number, login, name)

    def unlabel(self, number: int, login: str = OWNER, name: str = "") -> None:
        self._labels(self.github.remove_label, number, login, name)

    def _labels(self, change: Callable[..., Any], number: int, login: str, name: str) -> None:
        pull = self.github.pull(number)
        event = change(pull, login, name=name)
        self._of_pull(event["action"], pull, label=event["label"])

    def delete_fork(self, login: str) -> None:
        """Its pull requests stay open; GitHub keeps their commits."""
        bare, gone = self.forks.pop(login)
        shutil.rmtree(bare)
        for ends in (*(pull["head"] for pull in self.github.pulls), *self.github.runs):
            for key in ("repo", "head_repository"):
                if key in ends and ends[key] and ends[key]["id"] == gone["id"]:
                    ends[key] = None

    def merge(self, number: int, by_bot: bool = False) -> str:
        """Merges with a merge commit; branches that went into the merged one stay as they are."""
        self.is_bots = by_bot
        try:
            return str(self.github.merge_pull({}, {}, str(number))[1]["sha"])
        finally:
            self.is_bots = True

    def _moved_by_request(self, branch: str, before: str | None, sha: str) -> None:
        self._moved(branch, None, before, sha, self.is_bots)

    def enqueue(self, number: int, after: str | None = None) -> str:
        """Puts a pull request into the merge queue, behind the queue's commit `after`."""
        pull = self.github.pull(number)
        base, start = pull["base"]["ref"], after or self._tip(self.bare, pull["base"]["ref"])
        tree = git(self.bare, "merge-tree", "--write-tree", str(start), pull["head"]["sha"])
        made = self.github.add_commit(
            tree.splitlines()[0], (str(start), pull["head"]["sha"]), f"Merge #{number}"
        )
        branch = f"gh-readonly-queue/{base}/pr-{number}-{start}"
        git(self.bare, "update-ref", f"refs/heads/{branch}", made)
        entry = {
            "head_sha": made, "head_ref": f"refs/heads/{branch}",
            "base_sha": start, "base_ref": f"refs/heads/{base}",
        }  # fmt: skip
        payload = {"action": "checks_requested", "merge_group": entry}
        self._happens("merge_group", payload, made, entry["head_ref"])
        return made

    def rerun(self, run: Run, only_job: str | None = None) -> Run:
        """Runs all jobs of a run again, or one of them, by its key."""
        time = self.github.now()
        attempt = run.record["run_attempt"] + 1
        run.record.update(status="queued", conclusion=None, run_attempt=attempt,
                          run_started_at=time, updated_at=time)  # fmt: skip
        run.only_job = only_job
        self.queue.append(run)
        return run

    def cancel(self, run: Run) -> None:
        """Somebody stops a run that waits."""
        self.queue.remove(run)
        self._end(run, "cancelled")

    def hold(self, run: Run) -> Run:
        """GitHub lets no stranger's first run begin before a maintainer has approved it."""
        self.queue.remove(run)
        run.record.update(status="completed", conclusion="action_required")
        return run

    def approve(self, run: Run) -> None:
        run.record.update(status="queued", conclusion=None)
        self.queue.append(run)

    def tag(self, name: str, commit: str) -> None:
        """Somebody with the right to it tags a commit, which starts nothing here."""
        git(self.bare, "update-ref", f"refs/tags/{name}", self.workshop.commit(commit))

    def expire(self, run: Run) -> None:
        """Ninety days later."""
        for one in self.github.artifacts:
            if one["workflow_run"]["id"] == run.record["id"]:
                one["expired"] = True

    def wait(self) -> None:
        """Lets the time of a schedule come."""
        tip = str(self._tip(self.bare, TRUNK))
        self._happens("schedule", {}, tip, f"refs/heads/{TRUNK}")

    # --- what GitHub does

    def _of_pull(self, action: str, pull: dict[str, Any], **more: Any) -> None:
        """The events of a pull request; with conflicts its own workflows are not started."""
        number = pull["number"]
        payload = {"action": action, "number": number, "pull_request": pull, **more}
        tip = str(self._tip(self.bare, TRUNK))
        self._happens("pull_request_target", payload, tip, f"refs/heads/{TRUNK}", pull)
        if pull["mergeable"] is not False or action in ("closed", "labeled", "unlabeled"):
            sha = pull["head"]["sha"]
            self._happens("pull_request", payload, sha, f"refs/pull/{number}/merge", pull)

    def _happens(
        self, name: str, payload: Mapping[str, Any], sha: str, ref: str, pull: Any = None
    ) -> None:
        """Queues the runs that an event starts."""
        sender = {"login": OWNER, "type": "User"}
        event = {"repository": self.github.repository, "sender": sender, **payload}
        for workflow, file in FILES.items():
            is_trusted = name in FROM_THE_DEFAULT_BRANCH
            source = str(self._tip(self.bare, TRUNK)) if is_trusted else sha
            content = runner.loaded(git(self.bare, "show", f"{source}:.github/workflows/{file}"))
            record = self._record(workflow, file, name, sha, ref, pull)
            happened = Happened(
                name,
                copy.deepcopy(event),
                self._github(record, sha, ref),
                self.variables,
                dict(payload.get("inputs", {})),
            )
            if starts(content, happened):
                self._start(Run(workflow, content, happened, record, ""))

    def _record(
        self, workflow: str, file: str, name: str, sha: str, ref: str, pull: Any
    ) -> dict[str, Any]:
        time, number = self.github.now(), 1000 + len(self.runs)
        head = pull["head"] if pull else {}
        own = head.get("repo") or {}
        return {
            "id": number,
            "name": workflow,
            "path": f".github/workflows/{file}",
            "event": name,
            "status": "queued",
            "conclusion": None,
            "head_sha": head.get("sha", sha),
            "head_branch": head.get("ref", ref.removeprefix("refs/heads/")),
            "head_repository": head.get("repo") if pull else self.github.repository,
            "repository": self.github.repository,
            "run_attempt": 1,
            "html_url": f"https://github.com/{OWNER}/{NAME}/actions/runs/{number}",
            "created_at": time,
            "run_started_at": time,
            "updated_at": time,
            # of forks GitHub does not say it
            "pull_requests": [{"number": pull["number"]}]
            if pull and own.get("id") == self.github.repository["id"]
            else [],
        }

    def _github(self, record: Mapping[str, Any], sha: str, ref: str) -> dict[str, Any]:
        return {
            "repository": f"{OWNER}/{NAME}", "repository_owner": OWNER, "sha": sha, "ref": ref,
            "ref_name": ref.removeprefix("refs/heads/").removeprefix("refs/"), "actor": OWNER,
            "run_id": str(record["id"]), "workflow": record["name"],
        }  # fmt: skip

    def _start(self, run: Run) -> None:
        """Of a group one run is under way and one waits; a newer one takes the waiting one's place.

        One that cancels what is under way takes that one's place as well.
        """
        run.group, cancels = group(run.content, run.happened)
        same = [one for one in self.queue if (one.workflow, one.group) == (run.workflow, run.group)]
        self.runs.append(run)
        self.github.runs.append(run.record)
        self.queue.append(run)
        for one in same if cancels else same[1:]:
            self.queue.remove(one)
            self._end(one, "cancelled")

    def settle(self) -> None:
        """Runs all that waits, and what that starts."""
        while self.queue:
            self.work()
            self._dispatched()

    def work(self, workflow: str | None = None, event: str | None = None) -> Run:
        """Runs the first of the runs that wait, or the first of a workflow or an event."""
        run = next(
            one
            for one in self.queue
            if workflow in (None, one.workflow) and event in (None, one.happened.name)
        )
        self.queue.remove(run)
        run.record.update(status="in_progress")
        for key in runner.ordered(run.content):
            self._job(run, key)
            if key == "sweep" and run.results[key].result != "skipped":
                self.untold.clear()
            self._remember(f"{run.workflow} {run.happened.name} {key}")
        results = {
            "success" if one.result == "failure" and self._is_forgiven(run, key) else one.result
            for key, one in run.results.items()
        }
        worst = next(one for one in ("failure", "success", "skipped") if one in results)
        self._end(run, worst)
        return run

    def _job(self, run: Run, key: str) -> None:
        if run.only_job and key in run.results and not self._is_after(run, key):
            self._note(run, run.results[key])
            return
        contexts = runner.context(run.happened)
        contexts["github"]["run_attempt"] = str(run.record["run_attempt"])
        contexts["needs"] = runner.needs(key, run.content, run.results)
        name = str(run.content["jobs"][key].get("name", key))
        if not runner.runs(key, run.content, contexts, run.results):
            run.results[key] = JobResult("skipped", name)
            return
        if before := self.before.pop((run.workflow, key), None):
            before()
        started = self.github.now()
        run.results[key] = self._result(run, key, contexts)
        self._note(run, run.results[key], started)

    @staticmethod
    def _is_forgiven(run: Run, key: str) -> bool:
        return run.content["jobs"][key].get("continue-on-error") is True

    def _is_after(self, run: Run, key: str) -> bool:
        return key == run.only_job or run.only_job in runner._ancestors(key, run.content["jobs"])

    def _note(self, run: Run, result: JobResult, started: str | None = None) -> None:
        """What the server shows of a job, which has a check run too; an old one keeps its times."""
        if result.result == "skipped":
            return
        old = [
            one
            for one in self.github.jobs.get(run.record["id"], [])
            if one["name"] == result.name and started is None
        ]
        times = {key: old[-1][key] for key in ("started_at", "completed_at")} if old else {
            "started_at": started, "completed_at": self.github.now(),
        }  # fmt: skip
        self.github.add_job(run.record, result.name, result.result, **times)
        if started is None:
            return
        for name, archive in result.artifacts.items():
            self.github.artifacts = [  # `overwrite: true`
                one
                for one in self.github.artifacts
                if (one["workflow_run"]["id"], one["name"]) != (run.record["id"], name)
            ]
            number = self.numbers = self.numbers + 1
            self.github.add_artifact(run.record["id"], number, archive, name, times["completed_at"])
        if run.workflow == "cml" or run.happened.name == "pull_request_target":
            self.github.add_job_check(run.record["head_sha"], result.name, result.result)

    def _result(self, run: Run, key: str, contexts: dict[str, Any]) -> JobResult:
        artifacts: dict[str, bytes] = {}
        for result in run.results.values():
            artifacts |= result.artifacts
        count = sum(len(jobs) for jobs in self.github.jobs.values())
        folder = self.folder / "machines" / f"{run.record['id']}-{key}-{count}"

        def make() -> JobResult:
            result, crashes = runner.run_job(
                self.machine, folder, key, run.content, contexts, artifacts
            )
            self.crashes += crashes
            return result

        if key == MEASURES and self.is_remembering:
            name = f"{key}-{self._causes(run, contexts)}"
            return pickle.loads(self.workshop.once(name, lambda: pickle.dumps(make())))  # noqa: S301
        return make()

    def _causes(self, run: Run, contexts: Mapping[str, Any]) -> str:
        """All that the job that measures goes by: the same causes, the same results."""
        event = run.happened.event
        base = (event.get("pull_request") or {}).get("base", {}).get("ref")
        tips = [self._tip(self.bare, one) for one in (TRUNK, base) if one]
        before = event.get("before") if run.happened.name == "push" else None
        params = git(self.bare, "show", f"{run.record['head_sha']}:params.yaml")
        runs = []  # by whose number seeds are drawn, and those before, by which more is asked for
        if "budget" in params:
            ids = [one.record["id"] for one in self.runs if one.workflow == run.workflow]
            runs = [one for one in ids if one <= run.record["id"]]
        said = [
            run.record["head_sha"], run.happened.name, base, tips, self.variables,
            before, event.get("merge_group"), run.happened.inputs, run.content,
            list(self.caches), contexts["needs"], runs,
            git(self.bare, "for-each-ref", "refs/tags"),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:20]

    def _end(self, run: Run, conclusion: str) -> None:
        run.record.update(status="completed", conclusion=conclusion, updated_at=self.github.now())
        if run.workflow == "cml":
            payload = {"action": "completed", "workflow_run": run.record}
            tip = str(self._tip(self.bare, TRUNK))
            self._happens("workflow_run", payload, tip, f"refs/heads/{TRUNK}")

    def _dispatched(self) -> None:
        """A dispatch is the one event that a workflow's own token starts a run with."""
        while self.github.dispatches:
            one = self.github.dispatches.pop(0)
            if one["workflow"] not in FILES.values():
                continue
            branch = one["ref"].removeprefix("refs/heads/")
            payload = {"inputs": one["inputs"], "ref": f"refs/heads/{branch}"}
            sha = str(self._tip(self.bare, branch))
            self._happens("workflow_dispatch", payload, sha, f"refs/heads/{branch}")

    # --- what is seen

    def _remember(self, after: str) -> None:
        for pull in self._open_pulls():
            if not self._is_to_be_told(pull):
                sha, base = pull["head"]["sha"], pull["base"]["ref"]
                said = self.github.conclusion(sha)
                losses = self.losses(sha, base)
                self.moments.append(Moment(after, pull["number"], losses, said))

    def _is_to_be_told(self, pull: dict[str, Any]) -> bool:
        """Whether an event of it still waits, so that nobody can know yet."""
        return pull["number"] in self.untold or any(
            run.happened.name == "pull_request_target"
            and run.happened.event["number"] == pull["number"]
            for run in self.queue
        )

    def check(self, number: int) -> str | None:
        """What the check of a pull request's newest commit says; None while it waits."""
        return self.github.conclusion(self.github.pull(number)["head"]["sha"])

    def summary(self, number: int) -> str:
        """What the check run says in words, without their markup."""
        sha = self.github.pull(number)["head"]["sha"]
        found = [one for one in self.github.checks if one["head_sha"] == sha]
        text = next(
            str(one["output"]["summary"]) for one in reversed(found) if one["name"] == CHECK
        )
        return " ".join(re.sub(r"[*`\\]", "", text).split())

    def details(self, number: int) -> str:
        """Where the check run leads to."""
        sha = self.github.pull(number)["head"]["sha"]
        found = [one for one in self.github.checks if one["head_sha"] == sha]
        return next(str(one["details_url"]) for one in reversed(found) if one["name"] == CHECK)

    def comment(self, number: int) -> str | None:
        """The text of the report, behind its mark."""
        own = [
            one["body"] for one in self.github.conversation(number) if one["user"]["login"] == BOT
        ]
        assert len(own) <= 1, own
        return own[0].partition("-->")[2].strip() if own else None

    def assert_says(self, number: int, check: str | None, comment: str, summary: str) -> None:
        """Check and beginning of the comment are these; the check's summary holds that."""
        said = self.comment(number)
        assert self.check(number) == check, (said or "")[:500] + self.summary(number)
        assert (said or "").startswith(comment), said and said[:500]
        assert summary in self.summary(number), self.summary(number)

    def last(self, workflow: str = "cml", event: str | None = None) -> Run:
        """The newest run of a workflow."""
        return next(
            run
            for run in reversed(self.runs)
            if run.workflow == workflow and event in (None, run.happened.name)
        )

    def changed(self, before: str, after: str) -> list[str]:
        """The files in which two branches differ."""
        return git(self.bare, "diff", "--name-only", before, after).splitlines()

    def message(self, branch: str) -> str:
        """Of a branch's newest commit."""
        return git(self.bare, "log", "-1", "--format=%B", branch)

    def losses(self, sha: str, base: str) -> frozenset[str]:
        """What a commit makes worse against where it left a branch, as its makers know."""
        names = {self.workshop.commit(name): name for name in self._known()}
        left = git(self.bare, "merge-base", sha, base)
        damage = [RECIPES[names[one]].damage if names.get(one) in RECIPES else frozenset()
                  for one in (sha, left)]  # fmt: skip
        return damage[0] - damage[1]

    def _known(self) -> list[str]:
        return [TRUNK, *(name for name in RECIPES if (self.workshop.made / name).exists())]
