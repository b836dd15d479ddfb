"""The winner's values in params.yaml: those bytes change and no other."""

import difflib

import pytest
from support import ROOT, SMALL

from lab.base import params
from lab.base.errors import LabError
from lab.tuning.apply import apply

VALUES = {"learning_rate": 0.00321, "schedule": "cosine", "weight_decay": 1e-07}
COMMENTED = """\
# first
dataset: {name: tiny, validation_size: 200, split_seed: 0}
train: {seeds: [0, 1, 2], seeds_per_stack: 2, epochs: 1, batch_size: 10, precision: float32}
models:
  # of the first
  "first":
      network: feed_forward
      hidden:   # one a layer
      - 8       # units
      - 4
      # between
      activation: relu
      dropout: 0.0

      optimizer: 'adam'
      learning_rate: 0.01      # of a step
      schedule: linear  # tight
      weight_decay: 0.0
  second: {network: feed_forward, hidden: [4], activation: relu, dropout: 0.0, optimizer: adam,
           learning_rate: 0.01, schedule: linear, weight_decay: 0.0}   # flow

# last
compare: {margin: 0.001}
"""


def applied(tmp_path, text, model, values):
    file = tmp_path / "params.yaml"
    file.write_bytes(text.encode())
    apply(file, text.encode(), model, values)
    return file.read_bytes().decode()


def changed(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_values_change_and_comments_keep_their_place(tmp_path):
    after = applied(tmp_path, COMMENTED, "first", {**VALUES, "hidden": [16], "clip_norm": 1.0})

    assert changed(COMMENTED, after) == [
        "-      - 8       # units",
        "-      - 4",
        "+        [16]",
        "-      learning_rate: 0.01      # of a step",
        "-      schedule: linear  # tight",
        "-      weight_decay: 0.0",
        "+      learning_rate: 0.00321   # of a step",
        "+      schedule: cosine  # tight",
        "+      weight_decay: 1.0e-07",
        "+      clip_norm: 1.0",
    ]


def test_a_model_in_braces(tmp_path):
    after = applied(tmp_path, COMMENTED, "second", {**VALUES, "patience": 3})

    assert changed(COMMENTED, after)[-1] == (
        "+           learning_rate: 0.00321, schedule: cosine, weight_decay: 1.0e-07, patience: 3}"
        "   # flow"
    )


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_line_ends_stay(tmp_path, ends):
    text = COMMENTED.replace("\n", ends)

    after = applied(tmp_path, text, "first", VALUES)

    assert after.count(ends) == text.count(ends)
    assert params.parse(after.encode(), "p").models["first"].learning_rate == 0.00321


def test_the_repositorys_own_file(tmp_path):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    name = next(iter(params.parse(text.encode(), "p").models))

    after = applied(tmp_path, text, name, VALUES)

    assert len(changed(text, after)) <= 2 * len(VALUES)


def test_a_file_that_was_edited_meanwhile_is_left_alone(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(SMALL + "# edited\n", encoding="utf-8")

    with pytest.raises(LabError, match="changed since the search began; nothing was written"):
        apply(file, SMALL.encode(), "relu_8", VALUES)

    assert file.read_text(encoding="utf-8") == SMALL + "# edited\n"
