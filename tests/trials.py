"""Pull requests with made-up results: real commits, and evidence that agrees with them."""

import io
import json
import zipfile
from collections.abc import Collection
from typing import Any

import yaml
from clones import Clones
from evidences import data, evidence, model, shifted, side, trial
from github_server import GitHub, repository, zipped

from lab.verdict.looks import planned
from lab.verdict.seeds import fresh

MEASURED = ("accuracy", "loss", "calibration_error")
STRANGER = repository("stranger", 2)
SCHEDULED = {"schedule": "41 * * * *"}  # the event of the hourly look at every pull request

REGRESSED, IMPROVED = shifted(-0.005, 0.0005), shifted(0.005, 0.0005)
GOOD, MEDIUM, BAD = side(0.97), side(0.95), side(0.90)
WORSE, BETTER = model("relu_128", MEDIUM, GOOD), model("relu_128", MEDIUM, BAD)


def spread(values: list[float]) -> dict[str, Any]:
    mean = sum(values) / len(values)
    sd = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return {"mean": mean, "sd": sd, "per_seed": values}


def results_file(name: str, side: dict[str, Any]) -> str:
    """`metrics/runs/NAME.json` of a side of the evidence."""
    scores = {
        split: {score: spread(side[split][score]) for score in MEASURED}
        for split in ("validation", "test")
    }
    kept = {
        key: side[key] for key in ("device", "precision", "parameter_count", "seeds", "confusion")
    }
    return json.dumps({"schema_version": 1, "model": name, **kept, **scores})


def data_file(described: dict[str, Any]) -> str:
    """`metrics/dataset.json`, of schema 1."""
    splits = {
        name: {
            "images": described[name]["examples"],
            "sha256": described[name]["sha256"],
            "images_per_class": described[name]["examples_per_class"],
        }
        for name in ("train", "validation", "test")
    }
    return json.dumps({"schema_version": 1, "name": described["name"], "split_seed": 0, **splits})


def labelled(
    server: GitHub, pull: dict[str, Any], login: str = "owner", time: str = ""
) -> dict[str, Any]:
    """The event of a label that accepts a loss."""
    return _at_home(server.add_label(pull, login, time))


def begun(
    server: GitHub, pull: dict[str, Any], action: str = "opened", **changes: Any
) -> dict[str, Any]:
    """The event of a pull request that has just become what it is."""
    pull["updated_at"] = server.now()
    event = {"action": action, "number": pull["number"], "pull_request": pull,
             "repository": server.repository}  # fmt: skip
    return _at_home({**event, "changes": changes} if changes else event)


def check(server: GitHub, sha: str) -> dict[str, Any]:
    """The one check run of a commit."""
    (found,) = [one for one in server.checks if one["head_sha"] == sha]
    return found


def _at_home(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "repository": {**event["repository"], "default_branch": "trunk"}}


class Trials:
    """The branches of a repository, and the runs of its pull requests."""

    def __init__(self, server: GitHub, clones: Clones) -> None:
        self.server, self.clones = server, clones
        self.clones.commit("first", {"README.md": "A repository\n"})
        self.clones.push("trunk")
        self.first = self.clones.head()
        self.budget = 0  # of seeds, in the params of what is committed from now on
        self._runs = 30

    def wait(self) -> None:
        """Lets ten minutes pass."""
        for _ in range(600):
            self.server.now()

    def measured(
        self,
        sides: dict[str, Any],
        change: str,
        margin: Any = 0.001,
        metric: str = "accuracy",
        unrecorded: Collection[str] = (),
    ) -> str:
        """A commit with these models and their results, on top of the work's HEAD.

        Args:
            sides: by the name of a model.
            change: the commit's message, and the network of its models.
            margin: of `compare`.
            metric: of `compare`.
            unrecorded: models whose results git does not get.
        """
        params = {"compare": {"metric": metric, "margin": margin, "budget": self.budget},
                  "train": {"seeds": list(range(10))},
                  "models": {name: {"network": change} for name in sides}}  # fmt: skip
        files = {
            f"metrics/runs/{name}.json": results_file(name, one)
            for name, one in sides.items()
            if name not in unrecorded
        }
        return self.clones.commit(
            change,
            {
                **files,
                "params.yaml": yaml.safe_dump(params),
                "metrics/dataset.json": data_file(data()),
            },
        )

    def open(
        self,
        *models: dict[str, Any],
        number=7,
        base="trunk",
        head=STRANGER,
        branch="change",
        at: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """A pull request whose head changes the sides of models as they are given.

        Returns:
            The event of its run's end.
        """
        self.clones.go_to(at or self.first)
        before = {
            one["renamed_from"] or one["name"]: one["baseline"] for one in models if one["baseline"]
        }
        after = {one["name"]: one["candidate"] for one in models if one["candidate"]}
        self.measured(before, f"base of {number}")
        self.clones.push(base)
        self.measured(after, f"change of {number}")
        return self.run(self.proposed(number, base, head, branch), *models, **more)

    def proposed(
        self, number=7, base="trunk", head=STRANGER, branch: str | None = None
    ) -> dict[str, Any]:
        """A pull request of the work's HEAD."""
        self.clones.push_pull(number)
        branch = branch or f"branch-{number}"
        return self.server.add_pull(number, self.clones.head(), branch, head, base=base)

    def queued(self, base="trunk", number=7) -> dict[str, Any]:
        """The branch and commit that a merge queue makes of the work's HEAD."""
        branch = f"gh-readonly-queue/{base}/pr-{number}-{'a' * 40}"
        self.clones.push(branch)
        return self._branch(self.clones.head(), branch, base)

    def run_queued(
        self, entry: dict[str, Any], *models: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        """The finished run of what a merge queue made."""
        return self._run_for("merge_group", entry, *models, **more)

    def run_pushed(self, sha: str, *models: dict[str, Any]) -> dict[str, Any]:
        """The finished run of the default branch itself, at one of its commits."""
        return self._run_for("push", self._branch(sha, "trunk", "trunk"), *models)

    def _branch(self, sha: str, branch: str, base: str) -> dict[str, Any]:
        """What has no pull request, in place of one."""
        head = {"sha": sha, "ref": branch, "repo": self.server.repository}
        return {"number": 0, "head": head, "base": {"ref": base}}

    def _run_for(
        self, event: str, of: dict[str, Any], *models: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        found = self.run(of, *models, **more)
        found["workflow_run"]["event"] = event
        return found

    def run(
        self, pull: dict[str, Any], *models: dict[str, Any], archive: Any = ..., **more: Any
    ) -> dict[str, Any]:
        """The finished run of a pull request, and what it measured, or another archive."""
        self._runs += 1
        left = self.packed(pull, *models, **more) if archive is ... else archive
        self.wait()
        time = self.server.now()
        times = dict.fromkeys(("created_at", "run_started_at", "updated_at"), time)
        event = self.server.add_run(self._runs, pull, None, **times)
        if left is not None:
            self.server.add_artifact(self._runs, self._runs * 10, left, time=time)
        self.wait()
        return _at_home(event)

    def packed(self, pull: dict[str, Any], *models: dict[str, Any], **more: Any) -> bytes:
        return zipped({"report.json": json.dumps(self.evidence(pull, *models, **more)).encode()})

    def evidence(
        self, pull: dict[str, Any], *models: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        """What an honest run says of a pull request."""
        head, into = pull["head"]["sha"], f"refs/remotes/origin/{pull['base']['ref']}"
        work, git = self.clones.work, self.clones.run
        git(work, "fetch", "-q", "origin")
        found = evidence(*models)
        base = git(work, "merge-base", head, into)
        return {
            **found,
            "candidate": {**found["candidate"], "commit": head},
            "baseline": {**found["baseline"], "commit": base},
            "looks": list(planned(10, self.budget)),
            "budget": self.budget,
            "trial": self.drawn(self._runs, head, base, *models) if self.budget else None,
            **more,
        }

    @staticmethod
    def drawn(
        run: int, head: str, base: str, *models: dict[str, Any], count: int = 10
    ) -> dict[str, Any]:
        """What an honest run measures of changed models on fresh seeds: the same as on its own."""
        seeds = fresh(run, head, base, count)
        sides: tuple[dict[str, Any], ...] = ({}, {})
        for one in models:
            both = one["candidate"], one["baseline"]
            if all(both) and both[0] != both[1]:
                names = one["name"], one["renamed_from"] or one["name"]
                for found, name, values in zip(sides, names, both, strict=True):
                    test = {
                        score: [*per_seed, *per_seed, *per_seed, *per_seed][:count]
                        for score, per_seed in values["test"].items()
                    }
                    found[name] = {"seeds": [*seeds], "test": test}
        return trial(*sides, "fresh", run=run)

    def fail(self, event: dict[str, Any], stage: str, lines: list[str]) -> None:
        """Lets a run have failed, against the baseline that it was to be compared with."""
        run = event["workflow_run"]
        (left,) = [one for one in self.server.artifacts if one["workflow_run"]["id"] == run["id"]]
        with zipfile.ZipFile(io.BytesIO(left["archive"])) as archive:
            found = json.loads(archive.read("report.json"))
        failure = {
            "schema_version": 1,
            "commit": run["head_sha"],
            "baseline": found["baseline"]["commit"],
            "stage": stage,
            "lines": lines,
        }
        left["archive"] = zipped({"failure.json": json.dumps(failure).encode()})
        run["conclusion"] = "failure"
