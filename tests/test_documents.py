"""What the documents say is true."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md"))


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_tree_names_what_is_there_and_all_of_it():
    named = set(re.findall(r"^(\S+)  ", section("How it is laid out"), re.MULTILINE))
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    top = {name.split("/")[0] + ("/" if "/" in name else "") for name in tracked}
    usual = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"}
    usual |= {"pyproject.toml", "requirements.txt", "dvc.lock"}

    assert {name for name in top if not name.startswith(".")} - usual == named


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_command_exists(document):
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", document.read_text()))

    assert named <= make_targets()


def test_every_make_target_is_in_help():
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert set(re.findall(r"^make (\S+)", shown, re.MULTILINE)) == make_targets()
    assert {"repro", "test", "ui", "check", "help"} <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_into_the_repository_leads_somewhere(document):
    text = document.read_text()
    links = re.findall(r"\]\(([^)#]+)[^)]*\)|src=\"([^\"]+)\"", text)

    for target in filter(None, (a or b for a, b in links)):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_script_named_exists(document):
    for script in re.findall(r"python ((?:\w+/)*\w+\.py)", document.read_text()):
        assert (ROOT / script).exists(), script


def test_the_first_screen_says_what_it_is_and_gives_the_two_commands():
    first_screen = "\n".join(README.splitlines()[:25])

    assert "report" in first_screen
    assert "$ make repro" in first_screen
    assert "$ make test" in first_screen


def test_the_result_shown_is_the_result_in_metrics():
    from lab.results.comparison import Comparison

    found = Comparison.model_validate_json((ROOT / "metrics/comparison.json").read_bytes())

    assert (
        f"chosen by validation accuracy: {found.chosen.model} (seed {found.chosen.seed}" in README
    )
    assert found.differences[0].sentence() in README


def test_every_promised_file_is_written_by_a_stage():
    pipeline = (ROOT / "dvc.yaml").read_text().replace("${key}", "MODEL")

    for path in re.findall(r"^(m\S+)  ", section("What you get"), re.MULTILINE):
        assert path.rstrip("/") in pipeline


def test_contributing_is_short():
    assert len(CONTRIBUTING.splitlines()) < 60
