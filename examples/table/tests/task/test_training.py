"""The models of params.yaml learn: prepared and trained here in short, as the stages do it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import prepare
from lab.base import params
from lab.data.prepared import Prepared, load_prepared
from lab.training.loop import train_stack

PARAMS = Path(params.PARAMS_FILE).resolve()
MODELS = list(params.load(PARAMS).models)
FEW = {"seeds": [0, 1], "seeds_per_stack": 2, "epochs": 3}
FAST = {"learning_rate": 0.01}  # whatever params.yaml says just now


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    folder = tmp_path_factory.mktemp("project")
    (folder / params.PARAMS_FILE).write_bytes(PARAMS.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare.main()
    return load_prepared(folder)


def test_the_splits_hold_every_row_once_and_gaps_as_gaps(prepared):
    splits = (prepared.train, prepared.validation, prepared.test)
    rows = np.concatenate([split.inputs for split in splits])

    assert len(rows) == len(np.unique(rows, axis=0)) == 569
    assert len(prepared.validation.labels) == 90
    assert np.isnan(rows).any(axis=0).sum() == 29  # all columns but those of a category
    assert prepared.description.kind == "row"
    assert prepared.description.columns[:4] == [
        "mean size: large", "mean size: medium", "mean size: small", "mean texture",
    ]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_a_model_learns_and_again_the_same(prepared, model):
    def trained():
        tree = params.load(PARAMS)
        entry, shared = tree.models[model], tree.train
        return train_stack(
            model, entry.model_copy(update=FAST), shared.model_copy(update=FEW), (0, 1), prepared,
            lambda _: None, device=torch.device("cpu"), precision="float32",
        )  # fmt: skip

    once, again = trained(), trained()

    commonest = np.bincount(prepared.test.labels).max() / len(prepared.test.labels)
    assert commonest < 0.7
    assert (once.test.accuracy_S > 0.85).all()
    assert once.weights.keys() == again.weights.keys()
    for name, values in once.weights.items():
        np.testing.assert_array_equal(values, again.weights[name])
    np.testing.assert_array_equal(once.test.predictions_SN, again.test.predictions_SN)
