"""BERT and the bag of words, built and trained as stage `train` does it."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.base.errors import DataError, ParamsError, TaskError
from lab.base.params import ModelParams, TrainParams
from lab.data.description import describe
from lab.data.examples import Dataset, Examples
from lab.data.prepared import Prepared
from lab.data.splits import Part, Split
from lab.training.loop import train_stack
from lab.training.networks import initialised
from lab.training.outcome import Trained

transformers = pytest.importorskip(
    "transformers", reason="the packages of `make text` are not installed"
)

LENGTH, VOCABULARY = 8, 30
SIZE = {"layers": 2, "heads": 2, "hidden": 16}
TRAIN = TrainParams(
    seeds=[0], seeds_per_stack=1, epochs=1, batch_size=16, precision="float32"
)  # fmt: skip


def model(network: str = "bert", **keys: object) -> ModelParams:
    common = {
        "optimizer": "adamw", "learning_rate": 0.01, "schedule": "linear", "weight_decay": 0.01,
    }  # fmt: skip
    return ModelParams.model_validate({"network": network, **common, **keys})


def examples(count: int, seed: int) -> Examples:
    """Rows whose class is the order of tokens 4 and 5, which both stand in each."""
    random = np.random.default_rng(seed)
    rows = np.zeros((count, LENGTH), dtype=np.int64)
    rows[:, :6] = random.integers(6, VOCABULARY, (count, 6))
    labels = random.integers(0, 2, count)
    rows[np.arange(count), 1 + labels] = 4
    rows[np.arange(count), 2 - labels] = 5
    return Examples(rows, labels)


@pytest.fixture(scope="module")
def data() -> Prepared:
    parts = {
        name: Part(examples(count, seed), np.arange(count))
        for seed, (name, count) in enumerate({"train": 256, "validation": 64, "test": 64}.items())
    }
    dataset = Dataset(
        parts["train"].examples, None, ["a", "b"], kind="text", vocabulary=VOCABULARY
    )  # fmt: skip
    splits = {
        name: Split(part.examples.inputs, part.examples.labels.astype(np.uint8))
        for name, part in parts.items()
    }
    return Prepared(**splits, description=describe("made", 0, dataset, parts, None))


def train(data: Prepared, entry: ModelParams, epochs: int = 1) -> Trained:
    settings = TRAIN.model_copy(update={"epochs": epochs})
    return train_stack(
        "m", entry, settings, (0,), data, lambda epoch: None,
        device=torch.device("cpu"), precision="float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save(folder, seed=7)
    return folder


def save(folder: Path, seed: int, *, has_pooler: bool = True, **changes: int) -> None:
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        **{
            "vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 12,
            **changes,
        }
    )  # fmt: skip
    transformers.BertModel(config, add_pooling_layer=has_pooler).save_pretrained(folder)


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def pretrained(folder: Path, **keys: object) -> ModelParams:
    return model(checkpoint=str(folder), checkpoint_sha256=sha256(folder), **keys)


# --- from scratch ---------------------------------------------------------------------------------


def test_bert_trains_one_epoch_to_the_same_bytes_each_time(data):
    one, other = train(data, model(**SIZE)), train(data, model(**SIZE))

    assert np.isfinite(one.epochs[0].train_loss_S).all()
    for name, weights in one.weights.items():
        np.testing.assert_array_equal(weights, other.weights[name])


def test_bert_learns_an_order_that_a_bag_of_words_cannot(data):
    bert = train(data, model(**SIZE, dropout=0.0), epochs=12)
    bag = train(data, model("embedding_bag", width=16), epochs=12)

    assert bert.test.accuracy_S[0] > 0.9
    assert bag.test.accuracy_S[0] < 0.75


def test_all_that_params_yaml_names_works_together(data):
    entry = model(
        **SIZE,
        learning_rate_factors={"backbone": 0.1},
        warmup_epochs=1.0,
        clip_norm=1.0,
        patience=2,
    )

    assert train(data, entry, epochs=3).weights["scores.weight"].shape == (1, 2, 16)


def test_what_fills_a_sentence_up_changes_no_score(data):
    network = initialised("m", model(**SIZE), data.description, [0]).module.eval()
    rows = torch.from_numpy(data.test.inputs[:4])

    with torch.no_grad():
        torch.testing.assert_close(network(rows), network(rows[:, :6]))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"layers": 2, "heads": 2}, "hidden must be 1 or more (or checkpoint name a checkpoint); "),
        ({**SIZE, "heads": 0}, "heads must be 1 or more (or checkpoint name a checkpoint); got 0"),
        ({**SIZE, "frozen_layers": 3}, "frozen_layers must be 0 to 2; got 3; correct it"),
        ({**SIZE, "frozen_layers": -1}, "frozen_layers must be 0 to 2; got -1; correct it"),
    ],
)
def test_a_wrong_size_is_one_line(data, keys, said):
    with pytest.raises(ParamsError) as caught:
        train(data, model(**keys))

    assert str(caught.value).startswith(f"params.yaml: a model of network bert: {said}")


def test_a_size_that_bert_itself_refuses_is_one_line_with_its_place(data):
    with pytest.raises(TaskError, match=r"^task/networks/bert.py:\d+: ValueError: [^\n]*multiple"):
        train(data, model(**{**SIZE, "heads": 3}))


def test_without_transformers_it_says_what_to_run(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(TaskError) as caught:
        train(data, model(**SIZE))

    assert str(caught.value) == (
        "task/networks/bert.py: needs the package transformers, which is not installed; "
        "run `make text`"
    )


# --- checkpoints ----------------------------------------------------------------------------------


def test_the_weights_of_a_checkpoint_are_where_training_begins(data, checkpoint, capfd):
    begun = initialised("m", pretrained(checkpoint), data.description, [0]).module
    assert capfd.readouterr() == ("", ""), "no bar of progress for every seed"
    saved = transformers.BertModel.from_pretrained(checkpoint).state_dict()

    assert saved.keys() == begun.backbone.state_dict().keys()
    for name, tensor in begun.backbone.state_dict().items():
        torch.testing.assert_close(tensor, saved[name], rtol=0, atol=0)


def test_a_checkpoint_with_the_heads_of_pretraining_gives_its_backbone(data, tmp_path, capfd):
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=12,
    )  # fmt: skip
    whole = transformers.BertForPreTraining(config)
    whole.save_pretrained(tmp_path)
    capfd.readouterr()

    begun = initialised("m", pretrained(tmp_path), data.description, [0]).module

    saved = whole.bert.state_dict()
    assert saved.keys() == begun.backbone.state_dict().keys()
    for name, tensor in begun.backbone.state_dict().items():
        torch.testing.assert_close(tensor, saved[name], rtol=0, atol=0)
    assert capfd.readouterr() == ("", ""), "no table of what is left out, for every seed"


def test_another_checkpoint_gives_another_result(data, checkpoint, tmp_path):
    save(tmp_path, seed=8)

    one, other = train(data, pretrained(checkpoint)), train(data, pretrained(tmp_path))

    assert not np.array_equal(one.test.confidence_SN, other.test.confidence_SN)


def test_a_checkpoint_without_a_pooler_gets_one_of_the_seed(data, tmp_path):
    save(tmp_path, seed=7, has_pooler=False)

    one, other = (
        initialised("m", pretrained(tmp_path), data.description, [0]).module for _ in "12"
    )

    key = "pooler.dense.weight"
    torch.testing.assert_close(
        one.backbone.state_dict()[key], other.backbone.state_dict()[key], rtol=0, atol=0
    )


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_do_not_move_and_the_others_do(data, checkpoint, frozen):
    entry = pretrained(checkpoint, frozen_layers=frozen, dropout=0.0)
    before = initialised("m", entry, data.description, [0]).weights()

    after = train(data, entry).weights

    has_moved = {name: not np.array_equal(before[name], after[name]) for name in before}
    still = tuple(f"backbone.encoder.layer.{number}." for number in range(frozen))
    still += ("backbone.embeddings.",) if frozen else ()
    for name, moved in has_moved.items():
        if name.startswith(still or ("nothing",)):
            assert not moved, name
    for part in ("pooler", *(f"encoder.layer.{number}" for number in range(frozen, 2))):
        assert any(has_moved[name] for name in has_moved if f"backbone.{part}." in name), part
    assert has_moved["scores.weight"]


@pytest.mark.parametrize(
    ("keys", "changes", "said"),
    [
        ({"layers": 2}, {}, "layers must not stand beside checkpoint, which has its own; got 2; "),
        ({}, {"vocab_size": 40}, "the checkpoint's 40 tokens must be those of the data; got 30; "),
        ({}, {"max_position_embeddings": 6}, "dataset.length must be at most the checkpoint's 6; "),
        ({"checkpoint_sha256": None}, {}, "checkpoint_sha256 must be that of "),
        ({"checkpoint_sha256": "0" * 64}, {}, "checkpoint_sha256 must be that of "),
        ({"checkpoint": "someone/not-there"}, {}, "checkpoint must be a folder or a name in "),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_line(data, tmp_path, keys, changes, said):
    save(tmp_path, seed=7, **changes)

    with pytest.raises(ParamsError) as caught:
        train(
            data,
            model(**{"checkpoint": str(tmp_path), "checkpoint_sha256": sha256(tmp_path), **keys}),
        )

    assert str(caught.value).startswith(f"params.yaml: a model of network bert: {said}")
    assert "\n" not in str(caught.value)


def test_the_line_about_a_missing_checksum_has_the_right_one(data, checkpoint):
    with pytest.raises(ParamsError, match=f"set it to {sha256(checkpoint)}$"):
        train(data, model(checkpoint=str(checkpoint)))


def test_a_folder_without_weights_or_with_other_ones_is_one_line(data, tmp_path):
    with pytest.raises(DataError, match=r"model.safetensors: no such file; save the model there"):
        train(data, model(checkpoint=str(tmp_path)))

    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(DataError, match=r"must be a checkpoint of BERT; got [^\n]+; use another$"):
        train(data, pretrained(tmp_path))
