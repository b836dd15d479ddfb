import itertools

import numpy as np
import pytest
import torch
from torch import Generator

from lab.base import params
from lab.base.params import ModelParams
from task.networks.feed_forward import ACTIVATIONS, Network

ACTIVATION_MODULES = {
    "linear": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "tanh": torch.nn.Tanh,
    "gelu": torch.nn.GELU,
}


def model(**changes) -> ModelParams:
    defaults = {
        "network": "feed_forward",
        "hidden": [6, 5],
        "activation": "relu",
        "dropout": 0.0,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "linear",
        "weight_decay": 0.0,
    }
    return ModelParams(**{**defaults, **changes})


def network(settings: ModelParams, seeds=(3, 1, 4)) -> Network:
    return Network.initialised(settings, 12, 4, [Generator().manual_seed(seed) for seed in seeds])


def images() -> torch.Tensor:
    return torch.randint(256, (3, 7, 12), dtype=torch.uint8, generator=Generator().manual_seed(0))


def torch_network(settings: ModelParams, stack: Network, index: int) -> torch.nn.Sequential:
    """The reference: one seed's weights in plain torch.nn."""
    modules: list[torch.nn.Module] = []
    for fan_in, fan_out in itertools.pairwise([12, *settings.hidden, 4]):
        modules += [torch.nn.Linear(fan_in, fan_out), ACTIVATION_MODULES[settings.activation]()]
    plain = torch.nn.Sequential(*modules[:-1])
    weights = {key: torch.from_numpy(value[index]) for key, value in stack.weights().items()}
    plain.load_state_dict(weights, strict=True)
    return plain


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [[], [6], [6, 5]])
def test_each_seed_computes_what_torch_nn_computes(activation, hidden):
    settings = model(activation=activation, hidden=hidden)
    stack = network(settings)
    pixels = images()

    for index in range(3):
        expected = torch_network(settings, stack, index)(pixels[index] / 255)
        torch.testing.assert_close(stack.logits(pixels)[index], expected)


@pytest.mark.parametrize("hidden", [[], [6, 5]])
@pytest.mark.parametrize("has_onednn", [True, False])
def test_images_that_all_seeds_share_need_no_axis_for_them(monkeypatch, hidden, has_onednn):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: has_onednn)
    stack, pixels = network(model(hidden=hidden)), images()[0]

    torch.testing.assert_close(stack.logits(pixels), stack.logits(pixels.expand(3, -1, -1)))


def test_each_seeds_gradient_is_that_of_torch_nn_alone():
    settings = model()
    stack = network(settings).to(torch.device("cpu"))
    pixels = images()
    stack.logits(pixels).square().mean(dim=(1, 2)).sum().backward()

    for index in range(3):
        plain = torch_network(settings, stack, index)
        plain(pixels[index] / 255).square().mean().backward()
        gradient = stack.layers[1].weight_SDH.grad
        assert gradient is not None
        torch.testing.assert_close(gradient[index].T, plain[2].weight.grad)


def test_every_activation_of_params_is_known_here():
    choices = params.ModelParams.model_fields["activation"].annotation.__args__

    assert set(choices) == set(ACTIVATIONS)


def test_a_seeds_start_does_not_depend_on_its_neighbours():
    alone, among = network(model(), seeds=[4]).weights(), network(model()).weights()

    for name, value in alone.items():
        np.testing.assert_array_equal(value[0], among[name][2])


def test_the_start_is_uniform_with_the_bound_of_torch_nn_linear():
    wide = Network.initialised(model(hidden=[400]), 784, 10, [Generator().manual_seed(0)])
    weight = wide.layers[0].weight_SDH

    assert weight.abs().max() == pytest.approx(1 / 28, rel=1e-3)
    assert weight.std() == pytest.approx(1 / 28 / 3**0.5, rel=0.01)
    assert weight.mean() == pytest.approx(0, abs=1e-4)


def test_parameters_are_counted_per_seed():
    assert network(model()).parameter_count() == (12 * 6 + 6) + (6 * 5 + 5) + (5 * 4 + 4)


def test_dropout_drops_its_share_keeps_the_mean_and_differs_between_seeds():
    wide = Network.initialised(
        model(hidden=[2000], dropout=0.25), 1, 1, [Generator().manual_seed(seed) for seed in (0, 1)]
    )
    values = torch.ones(2, 50, 2000)
    dropped = values * wide._mask(values, [Generator().manual_seed(seed) for seed in (0, 1)])

    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.005)
    assert dropped.mean() == pytest.approx(1.0, abs=0.005)
    assert not torch.equal(dropped[0], dropped[1])


def test_dropout_does_nothing_in_evaluation():
    pixels = images()

    torch.testing.assert_close(
        network(model(dropout=0.5)).logits(pixels), network(model()).logits(pixels)
    )
