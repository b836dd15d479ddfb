"""`.venv` is made anew by any command of make where it cannot work as it is."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE_SECONDS, ROOT, tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its scripts are of another kind")

ANEW = ".venv was made in another place, or of another Python: setting up anew\n"
NEEDED = ("Makefile", "requirements.txt")
OF_MAKE = {"VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
NO_CACHE = shutil.ignore_patterns("__pycache__")
# In place of pip, which would fetch uv, and of uv, which would fetch all the rest.
PIP = """
import os, pathlib, shlex, sys
script = pathlib.Path(os.environ["VIRTUAL_ENV"], "bin/uv")
script.write_text("#!/bin/sh\\nexec " + shlex.quote(sys.executable) + " -m uv")
script.chmod(0o755)
"""
UV = """
import os, pathlib, shlex, sys
if "FAIL" in os.environ:
    sys.exit("no network")
script = pathlib.Path(os.environ["VIRTUAL_ENV"], "bin/dvc")
says = " -c 'import sys; print(sys.prefix)'"
script.write_text("#!/bin/sh\\nexec " + shlex.quote(sys.executable) + says)
script.chmod(0o755)
"""
PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] && shift 2 && exec {python} -m venv --without-pip "$@"
exec {python} "$@"
"""


class Project:
    """A folder with the Makefile, whose set-up is the real one but for what comes by a network."""

    def __init__(self, folder: Path, stand_ins: Path) -> None:
        self.folder = folder
        # The tests' own make would say in which folder this one works.
        kept = {name: os.environ[name] for name in os.environ.keys() - OF_MAKE}
        self.environment = {**kept, "PYTHONPATH": str(stand_ins), "TORCH": ""}
        self.python = stand_ins / "python"

    @classmethod
    def created(cls, folder: Path, stand_ins: Path) -> "Project":
        shutil.copytree(ROOT / "lab/base", folder / "lab/base", ignore=NO_CACHE)
        for name in NEEDED:
            shutil.copy(ROOT / name, folder / name)
        stand_ins.mkdir(exist_ok=True)
        files = {"pip.py": PIP, "uv.py": UV, "ensurepip.py": "", "python": PYTHON}
        for name, content in files.items():
            text = content.replace("{python}", shlex.quote(sys.executable))
            (stand_ins / name).write_text(text, encoding="utf-8")
        (stand_ins / "python").chmod(0o755)
        return cls(folder, stand_ins)

    def setup(self, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            ["make", "setup", f"PYTHON={shlex.quote(str(self.python))}"],
            cwd=self.folder, env={**self.environment, **environment}, capture_output=True,
            encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def works(self) -> None:
        """Nothing is left to be set up, and a program is found by who activates it."""
        assert "Nothing to be done" in self.setup()
        done = subprocess.run(
            ["bash", "-c", "source .venv/bin/activate && dvc"],
            cwd=self.folder, capture_output=True, encoding="utf-8", check=True,
        )  # fmt: skip
        assert done.stdout == f"{self.folder.resolve() / '.venv'}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project.created(tmp_path / "project", tmp_path / "stand-ins")
    assert ANEW not in made.setup()
    made.works()
    return made


def test_a_project_that_was_moved_is_set_up_anew(project: Project) -> None:
    downloaded, old = project.folder / ".venv/cache/wheel", project.folder / ".venv/bench/old"
    for file in (downloaded, old):
        file.parent.mkdir()
        file.touch()
    project.folder = project.folder.rename(project.folder.with_name("moved"))

    assert project.setup() == ANEW
    project.works()
    assert (project.folder / ".venv/cache/wheel").exists()
    assert not (project.folder / ".venv/bench").exists()


def test_a_copy_is_set_up_anew_and_leaves_the_other_alone(project: Project, tmp_path: Path) -> None:
    before = tree(project.folder)
    copied = Project(tmp_path / "copy", project.python.parent)
    shutil.copytree(project.folder, copied.folder, symlinks=True)

    active = {"VIRTUAL_ENV": str(project.folder / ".venv")}  # of who works in both
    assert copied.setup(**active) == ANEW
    copied.works()
    assert tree(project.folder) == before
    project.works()


@pytest.mark.parametrize("what", ["upgraded", "gone", "not made by venv"])
def test_a_python_that_is_another_one_by_now(project: Project, what: str) -> None:
    settings = project.folder / ".venv/pyvenv.cfg"
    text = settings.read_text(encoding="utf-8")
    if what == "gone":
        (project.folder / ".venv/bin/python").unlink()
        (project.folder / ".venv/bin/python").symlink_to("/nowhere/python3")
    elif what == "upgraded":
        now = f"version = {sys.version_info[0]}.{sys.version_info[1]}."
        assert now in text
        settings.write_text(text.replace(now, "version = 3.9."), encoding="utf-8")
    else:
        settings.write_text("home = /usr/bin\n", encoding="utf-8")

    assert project.setup() == ANEW
    project.works()


def test_a_set_up_that_was_interrupted_goes_on(project: Project) -> None:
    (project.folder / ".venv/ready").unlink()
    (project.folder / ".venv/bin/dvc").unlink()
    assert "no network" in project.setup(code=2, FAIL="1")

    assert project.setup() == ""
    project.works()


def test_an_environment_that_is_linked_is_used_as_it_is(project: Project, tmp_path: Path) -> None:
    """As in a second worktree of git that shares the first one's."""
    second = Project.created(tmp_path / "second", project.python.parent)
    (second.folder / ".venv").symlink_to(project.folder / ".venv")
    os.utime(second.folder / "requirements.txt", (0, 0))
    before = tree(project.folder)

    assert "Nothing to be done" in second.setup()
    assert tree(project.folder) == before


@pytest.mark.parametrize("name", ["a%b#c,d", "it's a; (ä=*) project", "-a"])
def test_a_folder_may_have_an_odd_name(tmp_path: Path, name: str) -> None:
    project = Project.created(tmp_path / name, tmp_path / "stand-ins")
    project.setup()
    project.works()


@pytest.mark.parametrize("name", ["a:b", 'a"b', "a$b", "a`b", "a\\b", "a\nb", os.fsdecode(b"\xff")])
def test_a_name_that_no_environment_can_have_is_refused(tmp_path: Path, name: str) -> None:
    project = Project.created(tmp_path / name, tmp_path / "stand-ins")
    before = sorted(project.folder.rglob("*"))

    line, of_make, *rest = project.setup(code=2).splitlines()
    assert line.startswith("the project's path must ")
    assert line.endswith("; move it")
    assert of_make.startswith("make: *** ")
    assert not rest
    assert sorted(project.folder.rglob("*")) == before


@pytest.mark.slow
def test_the_real_environment_after_a_move(tmp_path: Path) -> None:
    """With what the package index has; a quarter of a minute where uv has it already."""
    project = Project.created(tmp_path / "it's a project", tmp_path / "stand-ins")
    project.python, project.environment["PYTHONPATH"] = Path(sys.executable), ""
    if subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp_path,
                       "uv"], capture_output=True, check=False).returncode:  # fmt: skip
        pytest.skip("the package index cannot be reached")
    project.setup(TORCH="none")
    project.folder = project.folder.rename(tmp_path / "another project")

    assert ANEW in project.setup(TORCH="none")
    command = "source .venv/bin/activate && numpy-config --version"
    subprocess.run(["bash", "-c", command], cwd=project.folder, check=True)
