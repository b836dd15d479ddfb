"""`promote.py` as a user runs it: real git, DVC, MLflow and GTO on the tiny task."""

import json

from support import is_one_line

from lab.base import gto


def gto_show(shelf) -> tuple[str, str]:
    """The newest version, and the one in production."""
    shown = json.loads(shelf.run("gto", "show", "--json"))["model"]
    return shown["version"], shown["stage"]["production"]


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1]


def test_the_first_model_then_a_better_one_and_not_a_worse_one(shelf):
    first = shelf.head()
    said = shelf.promote()

    assert f"v1 (linear_4, {first[:12]}) is in production: nothing was before" in said
    assert "git push --atomic origin main 'model#production#1' model@v1.0.0" in said
    assert [*shelf.contradictions()] == []
    assert shelf.run("git", "log", "--format=%s", "-1").strip().endswith("in production")
    assert shelf.run("git", "show", "--format=", "--name-only").split() == ["registry.json"]

    head, tags = shelf.head(), shelf.tags()
    assert "is in production already" in shelf.promote()
    assert (shelf.head(), shelf.tags()) == (head, tags)

    shelf.take("better")
    better = shelf.head()
    assert "is in production: linear_4: improved" in shelf.promote()
    assert [*shelf.contradictions()] == []
    now = shelf.steps()[-1]
    assert (now.version, now.before, now.how, now.commit) == (2, 1, "verdict", better)
    assert now.files == {
        form: one["sha256"]
        for form, one in shelf.json("metrics/export.json")["forms"].items()
        if one["sha256"]
    }
    assert shelf.served() == now.files["model"]

    shelf.take("worse")
    said = shelf.promote(code=1)
    assert said.startswith("promote.py: not promoted over v2 (linear_4")
    assert "linear_4: cannot tell (report/promotion/report.html: ? Cannot tell: " in said
    assert [*shelf.contradictions()] == []
    assert len(shelf.steps()) == 2

    said = shelf.promote("--accept", " it is \n smaller ")
    assert "is in production: it is smaller (linear_4: cannot tell)" in said
    now = shelf.steps()[-1]
    assert (now.version, now.how, now.reason) == (3, "accepted", "it is smaller")
    assert [*shelf.contradictions()] == []


def test_steps_back_go_from_version_to_version_and_what_was_taken_back_stays_out(shelf):
    shelf.promote()
    shelf.take("better")
    shelf.promote()
    first, better = shelf.steps()
    assert gto_show(shelf) == ("v2.0.0", "v2.0.0")

    said = shelf.promote("--rollback", "crashes on phones")
    now = shelf.steps()[-1]
    assert "v1 (linear_4" in last_line(said)
    assert (now.version, now.before, now.how, now.reason) == (
        1, 2, "rolled back", "crashes on phones"
    )  # fmt: skip
    assert (now.commit, now.files) == (first.commit, first.files)
    assert shelf.served() == first.files["model"]
    assert gto_show(shelf) == ("v2.0.0", "v1.0.0")
    assert gto.next_number(shelf.folder) == 4
    assert [*shelf.contradictions()] == []

    said = shelf.promote(code=1)
    assert "v2 was taken back on" in said
    assert "(crashes on phones)" in said
    said = shelf.promote("--rollback", code=2)
    assert "--rollback: there must be a version before; got v1" in said

    shelf.promote("--accept", "they were updated")
    now = shelf.steps()[-1]
    assert (now.version, now.commit, now.how) == (2, better.commit, "verdict")
    assert shelf.served() == better.files["model"]
    assert [*shelf.contradictions()] == []
    assert shelf.tags().count("model@v2.0.0") == 1


def test_others_staged_changes_and_files_stay_as_they_are(shelf):
    shelf.promote()
    (shelf.folder / "models/production/model.onnx").unlink()
    (shelf.folder / "registry.json").unlink()
    (shelf.folder / "README.md").write_text("mine", encoding="utf-8")
    shelf.run("git", "add", "README.md")

    assert "models/production: now v1" in shelf.promote("files")
    said = shelf.promote(code=2)
    assert "HEAD must be what lies here; got README.md; commit" in said
    assert shelf.run("git", "status", "--porcelain").splitlines() == ["M  README.md"]
    assert (shelf.folder / "registry.json").is_file()


def test_another_machine_lays_out_the_files_from_dvc(shelf, tmp_path):
    shelf.promote()
    shelf.take("better")
    shelf.promote()
    shelf.dvc("remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    shelf.dvc("push")
    served = shelf.served()

    for path in ("models", ".dvc/cache"):
        shelf.run("rm", "-rf", path)
    assert "models/production: now v2" in shelf.promote("files")
    assert shelf.served() == served
    assert shelf.promote("files").startswith("models/production: v2")

    for path in ("models", ".dvc/cache"):
        shelf.run("rm", "-rf", path)
    shelf.run("rm", "-rf", str(tmp_path / "store"))
    said = shelf.promote("files", code=2)
    assert "DVC must have it of v2" in said
    assert is_one_line(said.strip())
    assert not [*(shelf.folder / "models/production").glob("*.onnx")]


def test_files_are_those_that_git_names(shelf):
    path = shelf.folder / "models/export/model.onnx"
    path.unlink()
    for content in (None, b"another"):
        if content:
            path.write_bytes(content)
        said = shelf.promote(code=2)

        assert is_one_line(said.strip())
        assert "models/export/model.onnx: must be" in said
        assert "dvc checkout" in said
        assert shelf.tags() == []


def test_mlflows_alias_follows(shelf):
    shelf.environment["RECORD_RUNS"] = "wait"
    shelf.promote()
    assert shelf.champion() == shelf.steps()[-1].results_sha256
    shelf.take("better")
    shelf.promote()
    assert [*shelf.contradictions(recorded=True)] == []
    shelf.promote()
    names = [name for name, _ in shelf.recorded() if name.startswith("production")]
    assert names == ["production: v1", "production: v2"]
