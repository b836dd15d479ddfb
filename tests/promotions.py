"""Promotions in a real repository: what is to be promoted, and whether all agree on what is."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repository import Repository
from ruamel.yaml import YAML

from lab.base import gto
from lab.registry import history, ledger
from lab.registry.promotion import Promotion
from lab.shifts import reference as references

DIGEST = "0123456789abcdef" * 4
EPOCHS = {"first": 1, "better": 12, "worse": 3}


class Shelf(Repository):
    """A repository whose commits have models to promote; `commits` by their names in EPOCHS."""

    def __init__(self, folder: Path, commits: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self.commits = dict(commits or {})

    def stock(self) -> None:
        """Makes the commits, one after the other, and goes back to the first."""
        yaml, file = YAML(), self.folder / "params.yaml"
        tree = yaml.load(file)
        del tree["models"]["relu_8"]
        tree["train"] |= {"seeds": [0, 1, 2, 3, 4], "seeds_per_stack": 5}
        for name, epochs in EPOCHS.items():
            tree["train"]["epochs"] = epochs
            yaml.dump(tree, file)
            self.repro()
            self.commit()
            self.commits[name] = self.run("git", "rev-parse", "HEAD").strip()
        self.go_to("first")

    def copied(self, folder: Path) -> "Shelf":
        return Shelf(super().copied(folder).folder, self.commits)

    def go_to(self, name: str) -> None:
        """Lets `main` be at a commit, with its files."""
        self.run("git", "reset", "--quiet", "--hard", self.commits[name])
        self.dvc("checkout", "--force")

    def take(self, name: str) -> None:
        """Lets `main` go on with the files of a commit."""
        self.run("git", "checkout", "--quiet", self.commits[name], "--", ".")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", name)
        self.dvc("checkout", "--force")

    def promote(self, *arguments: str, code: int = 0) -> str:
        return self.run("python", "promote.py", *arguments, code=code)

    def steps(self) -> list[Promotion]:
        return history.read(self.folder)

    def head(self) -> str:
        return self.run("git", "rev-parse", "HEAD").strip()

    def tags(self) -> list[str]:
        return self.run("git", "tag").split()

    def served(self) -> str:
        """SHA-256 of the file that a service follows."""
        content = (self.folder / "models/production/model.onnx").read_bytes()
        return hashlib.sha256(content).hexdigest()

    def champion(self) -> str:
        """The results of what MLflow calls `champion`; empty without one."""
        query = """
            SELECT tags.value FROM registered_model_aliases AS aliases
            JOIN model_versions AS versions
              ON versions.name = aliases.name AND versions.version = aliases.version
            JOIN tags ON tags.run_uuid = versions.run_id AND tags.key = 'results_sha256'
            WHERE aliases.alias = 'champion'"""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            found = database.execute(query).fetchall()
        return found[0][0] if found else ""

    def contradictions(self, *, recorded: bool = False) -> Iterator[str]:
        """Where tags, registry.json, models/production and MLflow do not say the same."""
        yield from self.contradictions_in_git()
        now, folder = self.steps()[-1], self.folder / "models/production"
        files = {f"{form}.onnx": digest for form, digest in now.files.items()}
        found = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.iterdir()
            if path.name not in ("promotion.json", "reference.npz")
        }
        if found != files:
            yield f"models/production holds {sorted(found)}, not {sorted(files)}"
        models = references.read(folder / "reference.npz").about["models"]
        if now.files["model"] not in models.values():
            yield "reference.npz is of another version"
        if self.json("models/production/promotion.json") != json.loads(now.text()):
            yield "promotion.json is another"
        if recorded and self.champion() != now.results_sha256:
            yield f"champion is {self.champion()[:12]}, not {now.results_sha256[:12]}"

    def contradictions_in_git(self) -> Iterator[str]:
        """Where tags and registry.json do not say the same."""
        steps = self.steps()
        versions = {one.version: one.commit for one in reversed(steps)}
        wanted = {one.tag for one in steps} | {gto.version_tag(version) for version in versions}
        if {*self.tags()} != wanted:
            yield f"tags {self.tags()}, not {sorted(wanted)}"
        for version, commit in versions.items():
            tag = gto.version_tag(version)
            if self.run("git", "rev-parse", f"{tag}^{{commit}}").strip() != commit:
                yield f"{tag} is at another commit"
        text = ledger.text(steps)
        if self.run("git", "show", "HEAD:registry.json") != text:
            yield "registry.json in git is another"
        if (self.folder / "registry.json").read_text(encoding="utf-8") != text:
            yield "registry.json is another"
        if left := self.run("git", "status", "--porcelain").strip():
            yield f"git status: {left}"


def step(commit: str, number: int = 1, **more: Any) -> Promotion:
    """A record of a model that nobody trained."""
    known = {
        "schema_version": 1,
        "number": number,
        "version": number,
        "commit": commit,
        "how": "verdict",
        "since": f"2026-11-29T21:00:{2 * number:02}Z",
        "who": "t <t@example.org>",
        "model": "relu_128",
        "seed": 6,
        "data": {"name": "MNIST", "train_sha256": DIGEST, "test_sha256": DIGEST},
        "results_sha256": DIGEST,
        "metric": "accuracy",
        "score": 0.9774,
        "parameter_count": 101_770,
        "files": {"model": DIGEST},
        "before": number - 1 or None,
        "verdict": "improved",
        "line": "▲ Improved: relu_128 +0.50 pp.",
        "reason": None,
    }
    return Promotion.model_validate({**known, **more})
