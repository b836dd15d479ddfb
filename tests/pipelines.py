"""A small pipeline of everything that DVC resolves by itself, and commands to work on it."""

import os
import subprocess
import sys
from pathlib import Path

PIPELINE = """\
vars:
  - word: hello
stages:
  data:
    cmd: mkdir -p data grids && cp in.txt data/a && cp in.txt data/b
    deps: [in.txt]
    outs: [data]
  word:
    cmd: echo ${word} > word.txt
    deps: [data]
    outs:
      - word.txt: {cache: false}
  grid:
    matrix: {size: [1, 2]}
    cmd: cat data/a > grids/${item.size} && echo ${item.size} >> grids/${item.size}
    deps: [data/a]
    outs: ["grids/${item.size}"]
  each:
    foreach: ${names}
    do:
      cmd: echo ${item.value} > ${key}.txt
      params: ["names.${key}"]
      outs:
        - ${key}.txt: {cache: false}
  join:
    cmd: cat grids/* code/* > join.txt
    deps: [grids, code]
    params:
      - other.yaml: [depth]
    outs:
      - join.txt: {cache: false}
  still:
    cmd: cp in.txt still.txt
    deps: [in.txt]
    outs:
      - still.txt: {cache: false}
  after:
    cmd: cp still.txt after.txt
    deps: [still.txt]
    outs:
      - after.txt: {cache: false}
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "params.yaml": "names:\n  one: {value: 1}\n  two: {value: 2}\n",
    "other.yaml": "depth: 1\n",
    "in.txt": "in\n",
    "code/main.sh": "main\n",
    "code/part.sh": "part\n",
    ".dvcignore": "__pycache__\n",
    ".gitignore": "__pycache__\n",
}


def run(folder: Path, *command: str) -> str:
    """The output of a command that succeeds, as somebody."""
    author = {
        f"GIT_{who}_{what}": "t@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **author, "PATH": path}, encoding="utf-8",
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def commit(folder: Path) -> str:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "change")
    return run(folder, "git", "rev-parse", "HEAD")
