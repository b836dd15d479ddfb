"""No file, whatever is in it, does more than be refused in one line.

`make test-inputs` reads them in full number; INPUT_CASES is the number of `params.yaml`, and there
are three tenths as many files of each other kind.
"""

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import SMALL, is_one_line

if sys.platform == "win32":  # limits of time and memory are Unix's own
    pytest.skip("needs resource and SIGALRM", allow_module_level=True)

from inputs import BYTES, KINDS, make_valid
from made_data import CLASSES

import compare
from lab.base import params
from lab.base.errors import DataError, LabError, ParamsError
from lab.base.files import read_bytes
from lab.evidence.changes import value_text
from lab.evidence.revisions import RevisionError
from lab.evidence.snapshots import WorkingTree, model_params, read_yaml
from lab.results import predictions, storage

ROOT = Path(__file__).parent.parent
CASES = int(os.environ.get("INPUT_CASES", "100"))
PARTS = 1 if CASES < 1_000 else 10  # processes for each kind: they end early if one fails
DEADLINE_SECONDS = 1_800


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_taken_or_refused_in_one_line(kind, part, tmp_path):
    count = (CASES if kind == "params.yaml" else 3 * CASES // 10) // PARTS
    tried(ROOT / "tests/inputs.py", kind, part, count, tmp_path)


def tried(script: Path, kind: str, part: int, count: int, folder: Path) -> None:
    """Makes and reads so many files of a kind in a process of its own."""
    command = [sys.executable, script, kind, str(part * count), str(count)]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found = json.loads(done.stdout)
    print(kind, part, found)

    assert not found["faults"]
    assert sum(found["outcomes"].values()) == count
    assert found["peak"] < BYTES
    assert not (folder / "escaped").exists()


# --- what was found ------------------------------------------------------------------------------

BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))])


@pytest.mark.parametrize(
    "value",
    [
        "0x" + "f" * 5_000,  # Python refuses to write this number into the error
        "!!timestamp x",
        "!!binary 'é'",
        "!!bool x",
        "!!int ''",
        "!!omap x",
        "!!python/object/apply:os.system ['touch escaped']",
        "&a [*a]",
        "[" * 30_000,  # took time as the square of its length
        "{a: " * 30_000,
        "- " * 30_000,
    ],
    ids=lambda value: value[:12],
)
def test_yaml_that_only_builds_traps_is_refused(value, tmp_path):
    text = SMALL.replace("epochs: 1", f"epochs: {value}")
    with pytest.raises(ParamsError) as caught:
        params.parse(text.encode(), "params.yaml")
    assert is_one_line(str(caught.value))
    assert len(str(caught.value)) < 500

    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RevisionError, match=r"params\.yaml"):
        model_params(WorkingTree(tmp_path))


def test_aliases_that_double_sixty_times_are_refused_in_a_baseline_too(tmp_path):
    (tmp_path / "params.yaml").write_text(BOMB, encoding="utf-8")

    with pytest.raises(RevisionError, match="anchors"):
        read_yaml(WorkingTree(tmp_path), "params.yaml")


def test_keys_that_json_lacks_are_shown():
    assert value_text({(1, 2): 3}) == "{(1, 2): 3}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_valid()
    return tmp_path


def refused_predictions(change):
    path = storage.TRAINED / "relu_8" / "predictions.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DataError) as caught:
        compare.predictions_of("relu_8", [0, 1, 2], 40, CLASSES)
    assert is_one_line(str(caught.value))
    return str(caught.value)


def test_predictions_that_unpack_to_more_than_memory_are_not_unpacked(project):
    def bomb(members):
        members["predictions.npy"] += bytes(predictions.MAX_PREDICTIONS_BYTES)

    assert "unpacks to 536,8" in refused_predictions(bomb)


def test_a_member_that_is_no_array_is_refused(project):
    found = refused_predictions(lambda members: members.update({"seeds.npy": b"x"}))

    assert "must be [seeds], [seeds, examples] and the same; got [()" in found


@pytest.mark.parametrize(
    ("seeds", "examples", "label", "problem"),
    [
        ([0, 2, 3], 40, 1, "must hold seeds [0, 1, 2] and 40 examples; got seeds [0, 2, 3]"),
        ([0, 1, 2], 39, 1, "got seeds [0, 1, 2] and 39 examples"),
        ([0, 1, 2], 40, 10, "classes must be 0 to 9; got 10"),
        ([], 40, 1, "must be [seeds], [seeds, examples] and the same"),
    ],
)
def test_predictions_of_other_results_are_refused(project, seeds, examples, label, problem):
    shape = (len(seeds), examples)
    found = predictions.Predictions(
        np.array(seeds, np.int64), np.full(shape, label, np.uint8), np.zeros(shape, np.float32)
    )
    path = storage.TRAINED / "relu_8" / "predictions.npz"
    predictions.write_predictions(path, found)

    with pytest.raises(DataError) as caught:
        compare.predictions_of("relu_8", [0, 1, 2], 40, CLASSES)
    assert problem in str(caught.value)


@pytest.mark.parametrize("score", ["accuracy", "loss", "calibration_error"])
@pytest.mark.parametrize("value", [-0.5, 1e300])
def test_scores_that_cannot_be_are_refused(project, score, value):
    path = storage.MODEL_RESULTS / "relu_8.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["test"][score]["per_seed"][1] = value
    path.write_text(json.dumps(tree), encoding="utf-8")

    with pytest.raises(DataError, match=f"test: value error, {score} must be from 0 to"):
        storage.read(path)


def test_a_pipe_or_a_device_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "params.yaml")

    with pytest.raises(ParamsError, match="must be a plain file"):
        params.load(tmp_path / "params.yaml")
    with pytest.raises(LabError, match="must be a plain file"):
        read_bytes(Path("/dev/zero"), 10)


# --- no pickle -----------------------------------------------------------------------------------

RUNNING = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


OURS = [path for folder in ("", "lab/**/", "task/**/") for path in ROOT.glob(f"{folder}*.py")]


def test_nothing_reads_what_could_be_code():
    assert ROOT / "lab/training/checkpoints.py" in OURS
    for node in (
        node for path in OURS for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names.append(getattr(node, "module", None) or "")
            assert not RUNNING & {name.split(".")[0] for name in names}
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {one.arg: ast.unparse(one.value) for one in node.keywords}
            assert called not in ("eval", "exec", "compile", "__import__")
            assert called.split(".")[-1] != "read_pickle"
            assert not called.endswith("torch.load")
            if called == "np.load":
                assert given["allow_pickle"] == "False"
            assert given.get("shell", "False") == "False"
