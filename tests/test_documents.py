"""What the documents say is true."""

import re
import subprocess
import sys
from pathlib import Path

import module_list
import pytest

ROOT = Path(__file__).parent.parent
AT_GITHUB = "../../"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "lab/README.md"]
DOCUMENTS += sorted(ROOT.glob("examples/*/README.md"))


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def test_the_tree_names_what_is_there_and_all_of_it():
    named = set(re.findall(r"^(\S+)  ", section("How it is laid out"), re.MULTILINE))
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=True,
    ).stdout.splitlines()  # fmt: skip
    top = {name.split("/")[0] + ("/" if "/" in name else "") for name in tracked}
    usual = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"}
    usual |= {"pyproject.toml", "requirements.txt", "requirements-serve.txt", "dvc.lock"}
    usual |= {"registry.json"}  # once something was promoted

    assert {name for name in top if not name.startswith(".")} - usual == named


def test_the_page_of_lab_has_the_docstring_of_every_module_and_nothing_else():
    """After a change of a docstring: `python -m tests.module_list > lab/README.md`."""
    text = (ROOT / "lab/README.md").read_text(encoding="utf-8")
    named = re.findall(r"^## (\w+)|^\| `(\w+)`", text, re.MULTILINE)
    files = [path.relative_to(ROOT / "lab") for path in ROOT.glob("lab/*/*.py")]
    there = [path.parent.name if path.stem == "__init__" else path.stem for path in files]

    assert sorted(package or module for package, module in named) == sorted(there)
    assert text == module_list.page()


def test_every_make_target_is_in_help():
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    ).stdout

    assert set(re.findall(r"^make (\S+)", shown, re.MULTILINE)) == make_targets()
    assert {"repro", "test", "ui", "check", "help"} <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_somewhere(document):
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)[^)]*\)|src=\"([^\"]+)\"", text)

    for target in filter(None, (a or b for a, b in links)):
        if not target.startswith(("http", AT_GITHUB)):
            assert (document.parent / target).exists(), target


def test_links_to_this_repository_at_github_hold_in_a_fork():
    """GitHub resolves them from OWNER/NAME/blob/BRANCH/README.md; the owner is not in them."""
    found = re.findall(rf"\]\({AT_GITHUB}([^)]+)\)", README)

    assert len(found) >= 3
    for target in found:
        place, _, name = target.partition("workflows/")
        assert re.fullmatch(r"actions/|pulls(\?.*)?", place)
        assert place != "actions/" or (ROOT / ".github/workflows" / name.split("/")[0]).exists()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_named_exists(document):
    named = re.findall(
        r"`((?:lab|tests|benchmarks|docs|\.github)/[\w./-]+)`", document.read_text(encoding="utf-8")
    )
    kept = [name for name in named if not f"{name}/".startswith("tests/task/")]  # a fork has others

    assert [name for name in kept if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "shown",
    ["report", "$ git clone", "$ make repro", "$ make test", "$ make report", "**Not for you**"],
)
def test_the_first_screen_says_what_it_is_for_whom_and_how_it_starts(shown):
    assert shown in "\n".join(README.splitlines()[:35])


def test_every_promised_file_is_written_by_a_stage():
    pipeline = (ROOT / "dvc.yaml").read_text(encoding="utf-8").replace("${key}", "MODEL")

    for path in re.findall(r"^(m\S+)  ", section("What you get"), re.MULTILINE):
        assert path.rstrip("/") in pipeline


def test_the_table_of_variables_has_those_that_the_workflows_read():
    page = (ROOT / "docs/pull-requests.md").read_text(encoding="utf-8")
    table = page.split("| name | kind |")[1].split("\n\n")[0]
    asked = {
        name
        for workflow in ROOT.glob(".github/workflows/*.yaml")
        for name in re.findall(
            r"\b(?:vars|secrets)\.([A-Z_]+)", workflow.read_text(encoding="utf-8")
        )
    }

    assert set(re.findall(r"`([A-Z_]{4,})`", table)) == asked - {"GITHUB_TOKEN"}
    for document in DOCUMENTS:  # one page says what they are called
        text = document.read_text(encoding="utf-8")
        if document.name not in ("pull-requests.md", "CHANGELOG.md"):
            assert not re.findall(r"RUNS_ON|OFFER_RESULTS|--labels", text), document


def test_all_in_one_go_is_what_the_workflow_does_but_for_the_slow_tests():
    command = re.compile(r"^(?:\s*- run: )?make ([a-z-]+)", re.MULTILINE)
    once = command.findall((ROOT / ".ci/run").read_text(encoding="utf-8"))
    apart = command.findall((ROOT / ".github/workflows/check.yaml").read_text(encoding="utf-8"))

    assert set(apart) == {"check", "test-all"}
    assert once == ["check", "test"]
    assert re.search(r"^test-all: test test-slow ", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize(
    ("said", "modules"), [("No torch here", "torch"), ("eeds no package", ""), ("Python alone", "")]
)
def test_a_module_that_says_so_does_without_packages(said, modules):
    files = [path for path in ROOT.glob("lab/*/*.py") if said in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    options = [] if modules else ["-S"]  # without the packages that are installed
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(names)}"
    code += "; sys.exit('torch' in sys.modules)"

    assert names
    subprocess.run([sys.executable, "-I", *options, "-c", code], cwd=ROOT, check=True)


def test_contributing_is_short():
    assert len(CONTRIBUTING.splitlines()) < 60


def test_the_table_of_situations_names_every_test_of_one():
    text = (ROOT / "docs/pull-requests.md").read_text(encoding="utf-8")
    named = {
        (file, test)
        for cell in re.findall(r"`test_[^|]*\.py`\)", text)
        for part in cell.split("; ")
        for file in re.findall(r"\(`(test_\w+)\.py`\)", part)
        for test in re.findall(r"`(test_\w+)`", part)
    }
    written = {
        (path.stem, test)
        for path in (ROOT / "tests/pull_requests").glob("test_*.py")
        for test in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert named == written
