"""Stages as DVC resolves them, beside what `dvc status` says of the same files."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from dvc.repo import Repo
from pipelines import commit, run

from lab.base.dvc import DVCError
from lab.base.stages import ABSENT, Stage, Tracked, hash_at, read_stages

ALL = ["data", "word", "grid@1", "grid@2", "each@one", "each@two", "join", "still", "after"]


def changed(stages: Mapping[str, Stage]) -> set[str]:
    """The stages that are not as their last run left them."""
    return {
        name
        for name, stage in stages.items()
        if stage.command != stage.last_command
        or stage.always_runs
        or any(param.is_changed for param in stage.params.values())
        or any(
            tracked.status != "unchanged"
            for tracked in [*stage.dependencies.values(), *stage.outputs.values()]
        )
    }


def status(folder: Path) -> set[str]:
    """What `dvc status` lists."""
    with Repo(str(folder)) as repo:
        return set(repo.status())


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


def test_all_is_known_of_stages_that_are_up_to_date(pipeline):
    stages = read_stages(pipeline)

    assert list(stages) == ALL
    assert changed(stages) == set()
    assert stages["word"].command == stages["word"].last_command == "echo hello > word.txt"
    assert stages["grid@2"].command.endswith("echo 2 >> grids/2")
    assert set(stages["join"].dependencies) == {"grids", "code"}
    assert set(stages["join"].follows) == {"grid@1", "grid@2"}
    assert stages["grid@1"].follows == ("data",)
    assert stages["each@two"].params["names.two"].recorded == {"value": 2}
    assert stages["join"].params["other.yaml:depth"].present == 1
    assert stages["still"].follows == ()
    assert read_stages(pipeline, "HEAD") == stages


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("dvc.yaml", "word: hello", "word: bye", {"word"}),
        ("dvc.yaml", "[1, 2]}", "[1, 3]}", {"grid@3"}),
        ("dvc.yaml", "cat data/a >", "cat  data/a >", {"grid@1", "grid@2"}),
        ("dvc.yaml", "deps: [grids, code]", "deps: [grids, code, in.txt]", {"join"}),
        ("dvc.yaml", "deps: [grids, code]", "deps: [grids]", set()),
        ("dvc.yaml", "    frozen: true\n", "    always_changed: true\n", {"still"}),
        ("params.yaml", "value: 1", "value: 4", {"each@one"}),
        ("other.yaml", "depth: 1", "depth: 1.0", set()),
        ("other.yaml", "depth: 1", "deep: 1", {"join"}),
        ("in.txt", "in", "out", {"data"}),  # not the frozen one
        ("code/part.sh", "part", "other", {"join"}),
        ("word.txt", "hello", "forged", {"word"}),
        ("still.txt", "in", "forged", {"still", "after"}),
    ],
)  # fmt: skip
def test_dvc_status_says_the_same_of_the_working_tree_and_of_a_commit(
    pipeline, path, old, new, expected
):
    edit(path, old, new)

    here = read_stages(pipeline)
    assert changed(here) == status(pipeline) == expected
    there = read_stages(pipeline, commit(pipeline))
    assert changed(there) == expected
    assert {name: stage.command for name, stage in there.items()} == {
        name: stage.command for name, stage in here.items()
    }


def test_files_that_are_not_tracked_or_ignored_make_no_difference(pipeline):
    (pipeline / "code" / "__pycache__").mkdir()
    (pipeline / "code" / "__pycache__" / "x.pyc").write_text("x", encoding="utf-8")

    assert changed(read_stages(pipeline)) == status(pipeline) == set()


def test_a_clone_without_a_cache_believes_the_stage_that_wrote_what_is_missing(pipeline, tmp_path):
    run(tmp_path, "git", "clone", "--quiet", str(pipeline), "clone")

    assert changed(read_stages(tmp_path / "clone")) == set()


def test_what_is_missing_is_not_believed_where_another_stage_read_something_else(pipeline):
    """The stage that writes the data ran again; those that read them did not."""
    edit("in.txt", "in", "out")
    run(pipeline, "dvc", "repro", "--quiet", "--single-item", "data")
    assert changed(read_stages(pipeline)) == {"word", "grid@1", "grid@2"}
    shutil.rmtree("data")

    assert changed(read_stages(pipeline)) == {"word", "grid@1", "grid@2"}
    assert changed(read_stages(pipeline, commit(pipeline))) == {"word", "grid@1", "grid@2"}


def test_a_folder_of_cached_outputs_is_compared_through_the_cache(pipeline):
    edit("dvc.yaml", "cat data/a > grids", "cat data/b data/a > grids")
    run(pipeline, "dvc", "repro", "--quiet", "--single-item", "grid@1", "grid@2")
    shutil.rmtree("grids")

    assert changed(read_stages(pipeline)) == {"join"}


def test_missing_and_new_paths_have_their_words(pipeline):
    shutil.rmtree("code")
    Path("word.txt").unlink()
    edit("dvc.yaml", "deps: [still.txt]", "deps: [still.txt, in.txt]")
    stages = read_stages(pipeline)

    assert stages["join"].dependencies["code"].status == "missing"
    assert stages["word"].outputs["word.txt"].status == "missing"
    assert stages["after"].dependencies["in.txt"] == Tracked(None, "new")


def test_a_stage_that_never_ran_has_no_last_command(pipeline):
    edit("params.yaml", "  two:", "  three:")
    three = read_stages(pipeline)["each@three"]

    assert three.last_command is None
    assert three.params["names.three"].recorded is ABSENT


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("dvc.lock", "stages: [1]"),
        ("dvc.lock", "{"),
        ("dvc.yaml", "stages: {a: {cmd: 1}}"),
        ("dvc.yaml", "stages: {a: {cmd: 'echo ${nothing}'}}"),
        ("dvc.yaml", "stages: {a: {cmd: x, outs: [o]}, b: {cmd: x, outs: [o]}}"),
        ("params.yaml", "a: [1"),
        ("dvc.yaml", "[" * 3_000),
    ],
)
@pytest.mark.parametrize("is_committed", [True, False])
def test_a_pipeline_that_dvc_cannot_read_is_one_line(pipeline, path, content, is_committed):
    Path(path).write_text(content, encoding="utf-8")
    revision = commit(pipeline) if is_committed else None

    with pytest.raises(DVCError) as caught:
        read_stages(pipeline, revision)
    assert str(caught.value).startswith("DVC cannot read the pipeline: ")
    assert "\n" not in str(caught.value)
    assert str(pipeline) not in str(caught.value)


def test_no_project_is_one_line(tmp_path):
    with pytest.raises(DVCError, match="DVC cannot open the project"):
        read_stages(tmp_path)


def test_a_project_in_a_folder_of_a_repository_is_read(tmp_path, finished_pipeline):
    project = tmp_path / "all" / "inner"
    shutil.copytree(finished_pipeline, project, ignore=shutil.ignore_patterns(".git", ".dvc"))
    run(tmp_path / "all", "git", "init", "--quiet")
    run(project, "dvc", "init", "--quiet", "--subdir")
    revision = commit(tmp_path / "all")

    assert changed(read_stages(project)) == changed(read_stages(project, revision)) == set()
    assert list(read_stages(project, revision)) == ALL


def test_a_folder_of_a_commit_hashes_as_dvc_recorded_it(pipeline):
    first = commit(pipeline)
    recorded = read_stages(pipeline)["join"].dependencies["code"].recorded
    edit("code/part.sh", "part", "other")

    assert hash_at(pipeline, first, "code") == recorded
    assert hash_at(pipeline, commit(pipeline), "code") not in (None, recorded)
    assert hash_at(pipeline, first, "nothing") is None


def test_a_commit_that_git_lacks_is_one_line(pipeline):
    with pytest.raises(DVCError, match="DVC cannot open the project"):
        read_stages(pipeline, "0" * 40)


# --- more than one dvc.yaml, and files that no stage writes ---------------------------------------


@pytest.fixture
def spread(tmp_path, monkeypatch) -> Path:
    """A project with `wdir`, a stage's `vars`, a second dvc.yaml, an import and added data."""
    project = tmp_path / "project"
    for name, content in SPREAD.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(project)
    (project / "sub").mkdir()
    for command in (
        "git init --quiet",
        "dvc init --quiet",
        "dvc add --quiet added.txt",
        "dvc import-url --quiet ../source.txt imported.txt",
        "dvc repro --quiet -P",
    ):
        run(project, *command.split())
    commit(project)
    return project


SPREAD = {
    "../source.txt": "source\n",
    "added.txt": "added\n",
    "other/p.yaml": "depth: 1\n",
    "other/dvc.yaml": """\
vars: [p.yaml]
stages:
  other: {cmd: "echo ${depth} > o.txt", params: [p.yaml: [depth]], outs: [o.txt: {cache: false}]}
""",
    "dvc.yaml": """\
stages:
  inner:
    wdir: sub
    vars: [{word: hello}]
    cmd: echo ${word} > o.txt
    deps: [../imported.txt, ../added.txt]
    outs: [o.txt: {cache: false}]
  join:
    cmd: cat sub/o.txt other/o.txt > join.txt
    deps: [sub/o.txt, other/o.txt]
    outs: [join.txt: {cache: false}]
""",
}


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("dvc.yaml", "word: hello", "word: bye", {"inner"}),
        ("other/p.yaml", "depth: 1", "depth: 2", {"other/dvc.yaml:other"}),
        ("added.txt", "added", "more", {"inner"}),
        ("imported.txt", "source", "forged", {"inner"}),
        ("../source.txt", "source", "moved on", set()),  # an import is frozen
        ("imported.txt.dvc", "frozen: true\n", "", set()),
    ],
)
def test_dvc_status_says_the_same_of_a_spread_project(spread, path, old, new, expected):
    edit(path, old, new)

    data = {f"{path}.dvc" for path in ("added.txt", "imported.txt")}  # each reader knows of it
    assert changed(read_stages(spread)) == status(spread) - data == expected
    stages = read_stages(spread)
    assert {*stages["join"].follows} == {"inner", "other/dvc.yaml:other"}


def test_an_import_that_dvc_would_fetch_anew_is_a_stage_that_would_run(spread):
    edit("imported.txt.dvc", "frozen: true\n", "")
    assert changed(read_stages(spread)) == status(spread) == set()
    edit("../source.txt", "source", "moved on")

    stages = read_stages(spread)

    assert changed(stages) == status(spread) == {"imported.txt.dvc"}
    assert stages["inner"].follows == ("imported.txt.dvc",)
    run(spread, "dvc", "repro", "--quiet", "--pull")
    assert changed(read_stages(spread)) == set()
    Path("../source.txt").unlink()
    assert changed(read_stages(spread)) == {"imported.txt.dvc"}  # what nobody can tell is stale
