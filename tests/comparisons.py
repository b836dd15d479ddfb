"""Evidence of a repository of `tests/evidence`, and results that are made again in this process."""

import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

import check
import prepare
from lab.base.stages import read_stages
from lab.evidence.collection import collect
from lab.evidence.resolution import NOT_RESOLVED, Resolution
from lab.evidence.schema import Evidence
from lab.report import page
from lab.report.document import plain
from lab.report.headline import verdict_line
from lab.report.judgement import judge
from lab.report.notes import Notes

shown: list[str] = []  # the lines of progress


def collected(named: str | None = None, resolution: Resolution = NOT_RESOLVED) -> Evidence:
    return collect(Path(), named, shown.append, resolution=resolution)


def words(evidence: Evidence) -> dict[str, str]:
    return {one.model.name: one.verdict for one in judge(evidence).models}


def line(evidence: Evidence) -> str:
    return plain(verdict_line(judge(evidence)))


def text(evidence: Evidence) -> str:
    return page.to_markdown(evidence, judge(evidence), [], Notes(), None)


def remake(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `dvc repro train` does, in this process and at once."""
    prepare.main()
    monkeypatch.setenv("RECORD_RUNS", "0")
    check.check()
    names = [name for name in read_stages(Path()) if name.startswith("train@")]
    for name in names:
        monkeypatch.setattr(sys, "argv", ["train.py", name.removeprefix("train@")])
        runpy.run_path("train.py")
    with Repo() as repo:
        for name in ["prepare", "check", *names]:
            repo.commit(name, force=True)


def remake_elsewhere(monkeypatch: pytest.MonkeyPatch, **machine: Any) -> None:
    """The same on a machine that gives other numbers; its cache stays there."""
    with monkeypatch.context() as there:
        for name, value in machine.items():
            there.setenv(f"MACHINE_{name.upper()}", str(value))
        remake(there)
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("models")
