"""Checkpoints: the same bytes after an interruption, and never the wrong ones."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from made_data import images, prepared
from support import is_one_line

from lab.base.params import CompareParams, DatasetParams, Params
from lab.training import checkpoints
from lab.training.checkpoints import Checkpoints
from lab.training.loop import train_model
from lab.training.outcome import Epoch, Trained
from tests.training.test_training import MODEL, TRAIN, assert_same

CPU = torch.device("cpu")
DATA = prepared(images(300, 0), images(100, 1), images(50, 2))
DESCRIBED = DATA.description
PARAMS = Params(
    dataset=DatasetParams(name="made", validation_size=100, split_seed=0),
    train=TRAIN.model_copy(update={"epochs": 3}),
    models={"relu_16": MODEL},
    compare=CompareParams(margin=0.001),
)


class Killed(BaseException):
    """Stands for a signal: nothing in training catches it."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / checkpoints.FOLDER / "relu_16"


def kept(tree: Params = PARAMS, described=DESCRIBED, precision="float32") -> Checkpoints:
    return Checkpoints(tree, "relu_16", described, device="cpu", precision=precision)


def train(
    tree: Params = PARAMS, *, killed_after: int = 0, into: list[Epoch] | None = None
) -> tuple[Trained, Checkpoints]:
    """Trains, one stack after the other; is killed after so many epochs over both."""
    seen, checkpoint = [] if into is None else into, kept(tree)

    def on_epoch(epoch: Epoch) -> None:
        if killed_after and len(seen) == killed_after:
            raise Killed
        seen.append(epoch)

    trained = train_model(
        "relu_16",
        tree.models["relu_16"],
        tree.train,
        DATA,
        on_epoch,
        device=CPU,
        precision="float32",
        workers=1,
        kept=checkpoint,
    )
    return trained, checkpoint


def with_model(**changes: object) -> Params:
    return PARAMS.model_copy(update={"models": {"relu_16": MODEL.model_copy(update=changes)}})


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.5}, {"optimizer": "sgd"}])
@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_training_ends_with_the_same_bytes(changes, killed_after, capfd):
    tree = with_model(**changes)
    expected, _ = train(tree)
    checkpoints.clear("relu_16")
    with pytest.raises(Killed):
        train(tree, killed_after=killed_after)
    seen: list[Epoch] = []

    trained, checkpoint = train(tree, into=seen)

    assert_same(trained, expected)
    assert [dataclasses.astuple(epoch)[:2] for epoch in seen] == [
        (seeds, number) for seeds in [(0, 1), (2, 3)] for number in (1, 2, 3)
    ]
    for epoch, other in zip(trained.epochs, expected.epochs, strict=True):
        np.testing.assert_array_equal(epoch.train_loss_S, other.train_loss_S)
        np.testing.assert_array_equal(epoch.validation_loss_S, other.validation_loss_S)
        np.testing.assert_array_equal(epoch.validation_accuracy_S, other.validation_accuracy_S)
    assert checkpoint.is_used
    assert "seeds 0, 1 go on after the last finished epoch" in capfd.readouterr().err


def test_it_trains_no_epoch_twice(monkeypatch):
    train()
    monkeypatch.setattr("lab.training.loop.batches", lambda *_: pytest.fail("trained again"))
    train()


OTHERS = {
    "learning rate": with_model(learning_rate=0.02),
    "epochs": PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update={"epochs": 4})}),
    "batch": PARAMS.model_copy(update={"train": PARAMS.train.model_copy(update={"batch_size": 8})}),
    "hidden": with_model(hidden=[8]),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_params_never_go_on_from_it(other):
    train()
    _, checkpoint = train(other)
    assert not checkpoint.is_used


def test_other_data_precision_seeds_and_code_never_go_on_from_it(folder, monkeypatch, tmp_path):
    train()
    like = {"any": np.zeros((0, 1))}
    other_data = DESCRIBED.model_copy(update={"validation": DESCRIBED.train})
    asked = [kept(described=other_data), kept(precision="bfloat16")]
    monkeypatch.setattr(checkpoints, "CODE", ("lab/verdict",))
    asked.append(kept())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert [each.load((0, 1), like) for each in asked] == [None] * 3
    assert kept().load((0, 2), like) is None


def damage(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    if kind == "a bit":
        content[len(content) // 2] ^= 1
    elif kind == "cut":
        content = content[: len(content) // 2]
    elif kind == "empty":
        content = bytearray()
    elif kind == "another schema":
        kept().save((0, 1), {"history": np.zeros((1, 3, 2)), "weights": np.zeros(3)})
        return
    elif kind == "another shape":
        arrays = safetensors.numpy.load(bytes(content)[checkpoints.CHECKSUM :])
        kept().save((0, 1), {**arrays, "0": arrays["0"][:1]})
        return
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["a bit", "cut", "empty", "another schema", "another shape"])
def test_a_damaged_checkpoint_is_ignored_with_a_warning(folder, kind, capfd):
    expected, _ = train()
    damage(kept()._path((0, 1)), kind)
    capfd.readouterr()

    trained, _ = train()

    assert_same(trained, expected)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2  # the other stack goes on
    assert "damaged; ignored, seeds 0, 1 start over" in lines[0]


def test_a_checkpoint_that_cannot_be_written_is_left_out_with_a_warning(folder, capfd):
    checkpoints.FOLDER.write_text("no folder", encoding="utf-8")
    train()
    line = capfd.readouterr().err.strip()
    assert is_one_line(line)
    assert line.endswith("training goes on without checkpoints")


def test_under_dvc_checkpoints_stay_until_the_result_is_recorded(folder, tmp_path, monkeypatch):
    result = tmp_path / "relu_16.json"
    result.write_text("what was trained", encoding="utf-8")
    train()
    monkeypatch.setenv("DVC_STAGE", "train@relu_16")
    checkpoints.finish("relu_16", result)
    checkpoints.clear_recorded("relu_16")  # there is no dvc.lock
    (tmp_path / "dvc.lock").write_text(f"md5: {32 * '0'}\n", encoding="utf-8")
    checkpoints.clear_recorded("relu_16")
    _, again = train()
    assert again.is_used

    recorded = hashlib.md5(b"what was trained", usedforsecurity=False).hexdigest()
    (tmp_path / "dvc.lock").write_text(f"md5: {recorded}\n", encoding="utf-8")
    checkpoints.clear_recorded("relu_16")
    assert not checkpoints.exist("relu_16")


def test_without_dvc_a_finished_training_leaves_no_checkpoint(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    train()
    checkpoints.finish("relu_16", tmp_path / "relu_16.json")
    assert not checkpoints.exist("relu_16")


def test_clear_recorded_leaves_an_interrupted_training_alone(folder, tmp_path):
    train()
    (tmp_path / "dvc.lock").write_text("md5: anything", encoding="utf-8")
    checkpoints.clear_recorded("relu_16")
    assert checkpoints.exist("relu_16")


def test_clear_leaves_other_models_alone(folder):
    train()
    folder.with_name("other").mkdir()
    checkpoints.clear("relu_16")
    checkpoints.clear("relu_16")
    assert [path.name for path in folder.parent.iterdir()] == ["other"]
