"""The site, built by the real zensical where `make site` has installed it."""

import re
import shutil
import signal
import subprocess
import sys

import pytest
import requests
from support import PATIENCE_SECONDS, ROOT

from lab.site import build
from lab.site.links import faults, read_page

BIN = "Scripts" if sys.platform == "win32" else "bin"
PYTHON = shutil.which("python", path=ROOT / ".venv/docs" / BIN)
needs_zensical = pytest.mark.skipif(PYTHON is None, reason="needs zensical: make site")
COPIED = ("lab/__init__.py", "lab/base", "lab/site")


def run(folder, *arguments: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python or PYTHON, "-m", "lab.site.build", *arguments], cwd=folder, check=False,
        capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """A project with two documents and a picture."""
    for name in COPIED:
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, place)
    (tmp_path / "docs").mkdir()
    shutil.copyfile(ROOT / "docs/report.png", tmp_path / "docs/p.png")
    text = "# One\n\n[two](docs/two.md#what-it-is)\n"
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    text = '# Two\n\n## What it is?\n\n<img src="p.png" alt="P">\n\nA -> B, (c), :smile:, `x`\n'
    (tmp_path / "docs/two.md").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The documents of this repository, built."""
    target = tmp_path_factory.mktemp("real") / "site"
    code = "import sys; from pathlib import Path; from lab.site.build import build; "
    code += "build(Path(), Path(sys.argv[1]))"
    subprocess.run(
        [PYTHON, "-c", code, str(target)], cwd=ROOT, check=True, timeout=PATIENCE_SECONDS
    )
    return target


@needs_zensical
def test_the_documents_of_this_repository_have_no_dead_link(real):
    assert list(faults(real)) == []
    assert (real / "docs/statistics.html").is_file()
    assert (real / "docs/pull-request.png").is_file()
    assert "assets" in {path.name for path in real.iterdir()}


@needs_zensical
def test_its_pages_load_nothing_from_elsewhere(real):
    loaded = [
        target
        for path in real.rglob("*.html")
        for target in read_page(path.read_text(encoding="utf-8")).loaded
    ]

    assert loaded
    assert [target for target in loaded if re.match(r"https?:|//", target)] == []


@needs_zensical
def test_a_site_is_built_whole_and_again(project):
    (project / "site").mkdir()
    (project / "site/old.html").touch()

    ran = run(project)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.fullmatch(r"2 pages in site/ \(\d+\.\d s\)\n", ran.stdout)
    page = (project / "site/docs/two.html").read_text(encoding="utf-8")
    assert 'id="what-it-is"' in page  # the anchor that GitHub gives it
    assert "A -&gt; B, (c), :smile:, <code>x</code>" in page  # as GitHub shows it
    assert not (project / "site/old.html").exists()
    assert [path.name for path in project.glob(".site.*")] == []


@needs_zensical
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[a](docs/two.md#no)",
            "index.html: a link to docs/two.html#no, where nothing is called #no",
        ),
        ("[a](docs/three.md)", "README.md: a link must lead to a file of the repository"),
        ("![a](docs/q.png)", "got docs/q.png; correct it"),
        ('<a href="docs/three.html">a</a>', "index.html: a link to docs/three.html"),
        ('<iframe src="https://o.org/x"></iframe>', "index.html: loads https://o.org/x from"),
    ],
)
def test_what_is_dead_or_of_elsewhere_is_one_line_and_the_old_site_stays(project, text, said):
    (project / "site").mkdir()
    (project / "README.md").write_text(f"# One\n\n{text}\n", encoding="utf-8")

    ran = run(project)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert list((project / "site").iterdir()) == []


@needs_zensical
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way")
def test_it_is_shown_on_loopback_and_follows_an_edit(project):
    command = [PYTHON, "-m", "lab.site.build", "--serve", "0"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, encoding="utf-8") as shown:
        said = shown.stdout.readline()
        address = re.fullmatch(
            r"the documents: (http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)\n", said
        )[1]
        (project / "docs/two.md").write_text("# Two\n\n## What it is\n\nNEW\n", encoding="utf-8")
        assert shown.stdout.readline() == "built again: 2 pages\n"
        answer = requests.get(f"{address}/docs/two.html", timeout=PATIENCE_SECONDS)
        assert "NEW" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        shown.send_signal(signal.SIGINT)
        assert shown.wait(PATIENCE_SECONDS) == 130


@pytest.mark.parametrize("port", ["", "x", "-1", "65536", "99999999999"])
def test_a_port_that_is_none_is_one_line(project, port):
    ran = run(project, f"--serve={port}", python=sys.executable)

    assert ran.returncode == 2
    assert ran.stderr.startswith("build.py: PORT: a port is a number from 0 to 65535; got ")


def test_without_zensical_one_line_says_what_installs_it(project):
    ran = run(project, python=sys.executable)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == ("build.py: zensical: is not installed for this Python; run `make site`\n")


def test_a_killed_build_leaves_the_old_site_or_the_new_one(tmp_path):
    built, target = tmp_path / "built", tmp_path / "site"
    for name in (built, target, tmp_path / ".site.new", tmp_path / ".site.old"):
        name.mkdir()
    (built / "new.html").touch()

    build.put(built, target)
    assert [path.name for path in target.iterdir()] == ["new.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "site"]
