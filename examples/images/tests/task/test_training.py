"""The models of params.yaml learn, from nothing and from weights that were trained before."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Generator

import prepare
from lab.base import params
from lab.base.errors import LabError
from lab.base.params import ModelParams, Params
from lab.data.prepared import Prepared, load_prepared
from lab.training import networks
from lab.training.loop import train_stack
from lab.training.module import Module
from lab.training.outcome import Trained
from task.common import augmentations
from task.data import drawing

PARAMS = Path(params.PARAMS_FILE).resolve()
MODELS = list(params.load(PARAMS).models)
TRANSFORMER = {
    "network": "vision_transformer", "patch": 8, "layers": 1, "heads": 2, "width": 16, "mlp": 16,
    "optimizer": "adamw", "learning_rate": 0.01, "schedule": "constant", "weight_decay": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def tree() -> Params:
    return params.load(PARAMS)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    """What stage `prepare` makes of fewer images."""
    folder = tmp_path_factory.mktemp("project")
    text = PARAMS.read_text(encoding="utf-8").replace("validation_size: 200", "validation_size: 40")
    (folder / params.PARAMS_FILE).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "FILES_PER_CLASS", 60)
        patch.chdir(folder)
        prepare.main()
    return load_prepared(folder)


def trained(prepared: Prepared, model: ModelParams, tree: Params, seed: int = 0) -> Trained:
    settings = tree.train.model_copy(update={"seeds": [seed], "epochs": 1})
    return train_stack(
        "own", model, settings, (seed,), prepared,
        lambda _: None, device=torch.device("cpu"), precision="float32",
    )  # fmt: skip


def transformer(**changes) -> ModelParams:
    return ModelParams(**TRANSFORMER | changes)


def started(prepared: Prepared, model: ModelParams, seed: int = 0) -> Module:
    (found,) = [networks.initialised("own", model, prepared.description, (seed,))]
    assert isinstance(found, Module)
    return found


def refusal(prepared: Prepared, model: ModelParams) -> str:
    with pytest.raises(LabError) as caught:
        started(prepared, model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the whole way -------------------------------------------------------------------------------


def test_the_networks_see_each_channel_standardised(prepared):
    scaling = prepared.description.scaling
    assert prepared.description.shape == [3, 32, 32]
    inputs = prepared.train.inputs.astype(np.float64)
    np.testing.assert_allclose(scaling.shift, inputs.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(scaling.scale, inputs.std(axis=(0, 2, 3)))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_and_again_the_same(prepared, tree, name):
    once, again = (trained(prepared, tree.models[name], tree) for _ in range(2))

    assert np.isfinite(once.epochs[0].validation_loss_S).all()
    for key, values in once.weights.items():
        np.testing.assert_array_equal(values, again.weights[key])
    start = started(prepared, tree.models[name]).weights()
    assert all((once.weights[key] != start[key]).any() for key in start if "weight" in key)


def test_the_cnn_learns_what_can_be_learned_from_few_images(prepared, tree):
    settings = tree.train.model_copy(update={"seeds": [0], "epochs": 6})
    cnn = tree.models["cnn"].model_copy(
        update={"learning_rate": 0.005}
    )  # whatever params.yaml says
    done = train_stack(
        "cnn", cnn, settings, (0,), prepared,
        lambda _: None, device=torch.device("cpu"), precision="float32",
    )  # fmt: skip

    assert done.epochs[-1].train_loss_S[0] < 0.85 * done.epochs[0].train_loss_S[0]


@pytest.mark.parametrize("name", MODELS)
def test_grey_images_are_taken_too(prepared, tree, name):
    grey = prepared.description.model_copy(update={"shape": [32, 32], "scaling": None})
    module = networks.initialised("own", tree.models[name], grey, (0,))

    assert module.logits(torch.zeros(5, 32, 32, dtype=torch.uint8)).shape == (1, 5, 4)


# --- augmentation --------------------------------------------------------------------------------


def images(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=Generator().manual_seed(9))


@pytest.mark.parametrize("name", ["flip", "shift", "flip_and_shift"])
@pytest.mark.parametrize("shape", [(40, 3, 16, 8), (40, 16, 8)])
def test_an_augmentation_draws_from_its_generator_alone(name, shape):
    change, before = getattr(augmentations, name), images(*shape)
    kept, state = before.clone(), torch.get_rng_state()

    once = change(before, Generator().manual_seed(1))
    torch.manual_seed(5)
    again = change(before, Generator().manual_seed(1))
    other = change(before, Generator().manual_seed(2))
    torch.set_rng_state(state)

    assert once.shape == before.shape
    assert once.dtype == torch.uint8
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(before, kept)


def test_flip_mirrors_about_half_of_the_images():
    before = images(400, 3, 4, 6)
    after = augmentations.flip(before, Generator().manual_seed(0))

    is_same = (after == before).flatten(1).all(dim=1)
    is_mirrored = (after == before.flip(-1)).flatten(1).all(dim=1)
    assert (is_same ^ is_mirrored).all()
    assert 160 < is_mirrored.sum() < 240


def test_shift_moves_each_image_by_its_own_up_to_an_eighth():
    before = images(300, 16, 24)
    after = augmentations.shift(before, Generator().manual_seed(0))
    moves = set()
    for old, new in zip(before, after, strict=True):
        padded = torch.nn.functional.pad(old[None].float(), (3, 3, 2, 2), mode="replicate")[0]
        (move,) = [
            (y, x)
            for y in range(5)
            for x in range(7)
            if torch.equal(padded[y : y + 16, x : x + 24], new.float())
        ]
        moves.add(move)

    assert len(moves) == 35


# --- weights that were trained before ------------------------------------------------------------


def saved(path: Path, state: dict[str, torch.Tensor]) -> dict[str, str]:
    """The arguments that name the file."""
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return named(path)


def named(path: Path) -> dict[str, str]:
    return {"weights": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:12]}


@pytest.fixture
def backbone(prepared) -> dict[str, torch.Tensor]:
    """Of another seed, so as to be told from what a start without weights draws."""
    return started(prepared, transformer(), seed=7).module.backbone.state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize("names", ["torchvision's", "ours"])
def test_training_begins_with_the_weights_of_a_file(prepared, backbone, tmp_path, suffix, names):
    if names == "ours":
        state = {f"backbone.{name}": tensor for name, tensor in backbone.items()}
        state |= {"head.weight": torch.ones(9, 16), "head.bias": torch.ones(9)}
    else:
        state = backbone | {
            "heads.head.weight": torch.ones(9, 16),
            "heads.head.bias": torch.ones(9),
        }
    given = saved(tmp_path / f"vit{suffix}", state)

    module = started(prepared, transformer(**given)).module
    fresh = started(prepared, transformer()).module
    for name, tensor in module.backbone.state_dict().items():
        assert torch.equal(tensor, backbone[name])
    assert not torch.equal(fresh.backbone.conv_proj.weight, backbone["conv_proj.weight"])
    assert module.head.out_features == 4


def test_a_frozen_backbone_stays_and_the_head_learns(prepared, tree, backbone, tmp_path):
    model = transformer(**saved(tmp_path / "vit.pt", backbone), freeze=True)
    done = trained(prepared, model, tree)

    assert done.parameter_count == 16 * 4 + 4
    for name, tensor in backbone.items():
        np.testing.assert_array_equal(done.weights[f"backbone.{name}"][0], tensor)
    start = started(prepared, model).weights()
    assert (done.weights["head.weight"] != start["head.weight"]).any()


def test_a_backbone_can_learn_slower_than_the_head(prepared, tree, backbone, tmp_path):
    given = saved(tmp_path / "vit.pt", backbone)
    moved = []
    for factors in (None, {"backbone": 0.01}):
        done = trained(prepared, transformer(**given, learning_rate_factors=factors), tree)
        before = backbone["encoder.layers.encoder_layer_0.mlp.0.weight"].numpy()
        after = done.weights["backbone.encoder.layers.encoder_layer_0.mlp.0.weight"][0]
        moved.append(np.abs(after - before).mean())

    assert 0 < moved[1] < moved[0] / 20


def test_positions_of_other_images_are_interpolated(prepared, backbone, tmp_path):
    larger = backbone | {"encoder.pos_embedding": torch.randn(1, 65, 16)}

    module = started(prepared, transformer(**saved(tmp_path / "vit.pt", larger))).module
    positions = module.backbone.encoder.pos_embedding
    assert positions.shape == (1, 17, 16)
    assert torch.equal(positions[:, :1], larger["encoder.pos_embedding"][:, :1])


def test_weights_that_do_not_do_are_one_line(prepared, backbone, tmp_path):
    good = tmp_path / "vit.safetensors"
    given = saved(good, backbone)
    assert "must be a file; got nowhere.pt" in refusal(prepared, transformer(weights="nowhere.pt"))
    said = refusal(prepared, transformer(weights=str(good)))
    assert (
        f"must be that of {good}, 8 digits or more; got None; the file has {given['sha256']}"
        in said
    )
    said = refusal(prepared, transformer(weights=str(good), sha256="0" * 12))
    assert "got 000000000000; the file has" in said
    assert "got 1; the file has" in refusal(prepared, transformer(weights=str(good), sha256="1"))

    for suffix in (".safetensors", ".pt"):
        for content in (b"", b"no weights", good.read_bytes()[:-100]):
            bad = tmp_path / f"bad{suffix}"
            bad.write_bytes(content)
            assert f"{bad}: must hold weights; got " in refusal(prepared, transformer(**named(bad)))

    whole = tmp_path / "whole.pt"
    torch.save(torch.nn.Linear(2, 2), whole)  # a module, which may run anything when it is read
    assert f"{whole}: must hold weights; got " in refusal(prepared, transformer(**named(whole)))
    torch.save({"epoch": 3, "model": backbone}, whole)
    assert "must hold tensors by name (a state_dict)" in refusal(
        prepared, transformer(**named(whole))
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 32}, "[1, 1, 32] for class_token; got [1, 1, 16]"),
        ({"layers": 2}, "encoder_layer_1.ln_1.weight; got nothing"),
        ({"mlp": 8}, "mlp.0.weight; got [16, 16]"),
        ({"patch": 4}, "[16, 3, 4, 4] for conv_proj.weight; got [16, 3, 8, 8]"),
    ],
)
def test_weights_of_another_network_are_one_line(prepared, backbone, tmp_path, changes, reason):
    given = saved(tmp_path / "vit.pt", backbone)

    assert reason in refusal(prepared, transformer(**given, **changes))


def test_weights_of_a_deeper_network_are_one_line(prepared, tmp_path):
    state = started(prepared, transformer(layers=2)).module.backbone.state_dict()
    given = saved(tmp_path / "vit.pt", state)

    assert "encoder_layer_1" in refusal(prepared, transformer(**given))


def test_published_weights_are_named_as_torchvision_names_them(prepared, monkeypatch, tmp_path):
    from torchvision.models import ViT_B_16_Weights

    said = refusal(prepared, transformer(weights="ViT_B_16"))
    assert "use ViT_B_16_Weights.IMAGENET1K_V1, " in said
    assert "got ResNet18_Weights" in refusal(
        prepared, transformer(weights="ResNet18_Weights.DEFAULT")
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    address = "http://127.0.0.1:9/vit_b_16-c867db91.pth"  # nobody there
    entry = ViT_B_16_Weights.IMAGENET1K_V1
    monkeypatch.setattr(entry, "_value_", type(entry.value)(address, entry.transforms, entry.meta))
    said = refusal(prepared, transformer(weights="ViT_B_16_Weights.IMAGENET1K_V1"))
    assert f"must come from {address}; got " in said
    assert "Connection refused" in said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"patch": 5}, "patch (network vision_transformer): must divide 32; got 5"),
        ({"patch": 0}, "must divide 32; got 0"),
        ({"heads": 3}, "must divide width (16); got 3"),
        ({"freeze": True}, "must have weights; got True"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(prepared, changes, reason):
    assert reason in refusal(prepared, transformer(**changes))


def test_an_image_that_is_no_square_is_one_line(prepared):
    wide = prepared.description.model_copy(update={"shape": [3, 32, 64]})
    with pytest.raises(LabError, match=r"must be a square; got \[32, 64\]"):
        networks.initialised("own", transformer(), wide, (0,))
