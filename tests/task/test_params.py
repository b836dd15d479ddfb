"""The values of params.yaml, and the networks and data that they name."""

from pathlib import Path

import pytest

from lab.base import params
from lab.base.errors import ParamsError
from lab.data import datasets
from lab.training import networks
from tests.support import ROOT

DEFAULTS = ROOT / "params.yaml"


def test_the_repositorys_own_params_are_valid() -> None:
    tree = params.load(DEFAULTS)

    assert list(tree.models) == ["relu_128", "linear_64"]
    assert tree.train.seeds == list(range(10))
    datasets.find(tree.dataset)
    networks.check(tree)


def test_a_network_without_a_file_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        DEFAULTS.read_text(encoding="utf-8").replace("network: feed_forward", "network: resnet", 1),
        encoding="utf-8",
    )

    with pytest.raises(ParamsError, match=r"got resnet; use cnn, feed_forward, or add task/netw"):
        params.load(path)
