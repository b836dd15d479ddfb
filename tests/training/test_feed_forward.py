import inspect
import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Generator

from lab.data.examples import Scaling
from lab.training.feed_forward import ACTIVATIONS, FeedForward

ACTIVATION_MODULES = {
    "linear": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "gelu": torch.nn.GELU,
}


INPUT_SHAPE, CLASSES = (3, 4), 4
BYTES = Scaling(shift=[0.0], scale=[255.0])


def network(
    seeds=(3, 1, 4), *, input_shape=INPUT_SHAPE, classes=CLASSES, scaling=BYTES, **arguments
) -> FeedForward:
    return FeedForward.initialised(
        seeds,
        input_shape,
        classes,
        None,
        scaling,
        **{"hidden": [6, 5], "activation": "relu", "dropout": 0.0, **arguments},
    )


def images() -> torch.Tensor:
    """Of three seeds seven each."""
    return torch.randint(
        256, (3, 7, *INPUT_SHAPE), dtype=torch.uint8, generator=Generator().manual_seed(0)
    )


def torch_network(stack: FeedForward, index: int) -> torch.nn.Sequential:
    """The reference: one seed's weights in plain torch.nn."""
    hidden = [layer.weight_SDH.shape[2] for layer in stack.layers[:-1]]
    modules: list[torch.nn.Module] = [torch.nn.Flatten()]
    for fan_in, fan_out in itertools.pairwise([12, *hidden, CLASSES]):
        modules += [torch.nn.Linear(fan_in, fan_out), ACTIVATION_MODULES[stack.activation]()]
    plain = torch.nn.Sequential(*modules[1:-1])
    weights = {key: torch.from_numpy(value[index]) for key, value in stack.weights().items()}
    plain.load_state_dict(weights, strict=True)
    return torch.nn.Sequential(modules[0], plain)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [[], [6], [6, 5]])
def test_each_seed_computes_what_torch_nn_computes(activation, hidden):
    stack = network(activation=activation, hidden=hidden)
    pixels = images()

    for index in range(3):
        expected = torch_network(stack, index)(pixels[index] / 255)
        torch.testing.assert_close(stack.logits(pixels)[index], expected)


@pytest.mark.parametrize("hidden", [[], [6, 5]])
@pytest.mark.parametrize("has_onednn", [True, False])
def test_images_that_all_seeds_share_need_no_axis_for_them(monkeypatch, hidden, has_onednn):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: has_onednn)
    stack, pixels = network(hidden=hidden), images()[0]

    torch.testing.assert_close(stack.logits(pixels), stack.logits(pixels.expand(3, *pixels.shape)))


def test_each_seeds_gradient_is_that_of_torch_nn_alone():
    stack = network().to(torch.device("cpu"))
    pixels = images()
    stack.logits(pixels).square().mean(dim=(1, 2)).sum().backward()

    for index in range(3):
        plain = torch_network(stack, index)
        plain(pixels[index] / 255).square().mean().backward()
        gradient = stack.layers[1].weight_SDH.grad
        assert gradient is not None
        torch.testing.assert_close(gradient[index].T, plain[1][2].weight.grad)


def test_every_activation_of_the_signature_is_known():
    choices = inspect.signature(FeedForward.initialised).parameters["activation"].annotation

    assert set(get_args(choices)) == set(ACTIVATIONS)


def test_a_seeds_start_does_not_depend_on_its_neighbours():
    alone, among = network(seeds=[4]).weights(), network().weights()

    for name, value in alone.items():
        np.testing.assert_array_equal(value[0], among[name][2])


def test_a_unit_starts_alike_in_a_wider_layer_and_with_more_inputs():
    """Its numbers, that is; the bound they are multiplied with is that of its inputs."""
    narrow, wide = network(hidden=[6, 5]), network(hidden=[9, 5], input_shape=(5, 4))

    for part, whole in zip(narrow.layers, wide.layers, strict=True):
        inputs, units = part.weight_SDH.shape[1:]
        scale = (whole.weight_SDH.shape[1] / inputs) ** 0.5
        torch.testing.assert_close(
            scale * whole.weight_SDH[:, :inputs, :units], part.weight_SDH, rtol=1e-6, atol=0
        )
        torch.testing.assert_close(
            scale * whole.bias_S1H[..., :units], part.bias_S1H, rtol=1e-6, atol=0
        )


def test_the_scores_start_alike_whatever_stands_before_them():
    deep, flat = network(hidden=[6, 5]), network(hidden=[5])

    assert torch.equal(deep.layers[-1].weight_SDH, flat.layers[-1].weight_SDH)
    assert not torch.equal(deep.layers[0].weight_SDH[..., :5], flat.layers[-1].weight_SDH[..., :5])


def test_units_seeds_and_layers_start_each_elsewhere():
    layers = network(hidden=[12, 12], classes=12).layers
    rows = torch.cat([layer.weight_SDH.transpose(1, 2).flatten(end_dim=1) for layer in layers])

    assert len(rows) == 3 * 3 * 12
    assert len(rows.unique()) > 0.999 * rows.numel()  # of 2^24 values a few meet


def test_the_start_is_uniform_with_the_bound_of_torch_nn_linear():
    wide = network(seeds=[0], hidden=[400], input_shape=(28, 28), classes=10)
    weight = wide.layers[0].weight_SDH

    assert weight.abs().max() == pytest.approx(1 / 28, rel=1e-3)
    assert weight.std() == pytest.approx(1 / 28 / 3**0.5, rel=0.01)
    assert weight.mean() == pytest.approx(0, abs=1e-4)


def test_parameters_are_counted_per_seed():
    assert network().parameter_count() == (12 * 6 + 6) + (6 * 5 + 5) + (5 * 4 + 4)


def test_dropout_drops_its_share_keeps_the_mean_and_differs_between_seeds():
    wide = network(seeds=(0, 1), hidden=[2000], dropout=0.25, input_shape=(1,), classes=1)
    values = torch.ones(2, 50, 2000)
    dropped = values * wide._mask(values, [Generator().manual_seed(seed) for seed in (0, 1)])

    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.005)
    assert dropped.mean() == pytest.approx(1.0, abs=0.005)
    assert not torch.equal(dropped[0], dropped[1])


def test_dropout_does_nothing_in_evaluation():
    pixels = images()

    torch.testing.assert_close(network(dropout=0.5).logits(pixels), network().logits(pixels))
