"""Arguments of networks, as params.yaml gives them."""

import pytest
from support import SMALL

from lab.base import params
from lab.base.errors import ParamsError
from lab.training import networks


def test_networks_with_all_their_arguments_are_right() -> None:
    networks.check(params.parse(SMALL.encode(), "params.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "hidden: [8]",
            "hiden: [8]",
            "hiden: unknown key; got [8]; did you mean hidden? (and 1 more)",
        ),
        ("hidden: [8]", "hidden: 8", "hidden: must be a list; got 8; correct the value"),
        (
            "hidden: [8]",
            "hidden: [-8]",
            "hidden.0: input should be greater than or equal to 1; got -8; correct the value",
        ),
        (
            "activation: relu",
            "activation: rulu",
            "activation: input should be 'linear', 'relu', 'tanh' or 'gelu'; got 'rulu'; "
            "correct the value",
        ),
        ("dropout: 0.0, ", "", "dropout: missing key; add it"),
        ("dropout: 0.0", 'dropout: "0"', "dropout: must be a number; got '0'; correct the value"),
    ],
)
def test_each_slip_in_an_argument_is_reported_in_one_line(old: str, new: str, message: str) -> None:
    assert old in SMALL
    tree = params.parse(SMALL.replace(old, new, 1).encode(), "params.yaml")

    with pytest.raises(ParamsError) as caught:
        networks.check(tree)
    assert str(caught.value) == f"params.yaml: models.relu_8.{message}"
