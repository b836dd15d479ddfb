"""A trained module as a program that runs without its class: stored inputs in, probabilities out.

torch.export follows `forward` once, with a batch of any size, and keeps what torch computed. It
cannot follow Python that looks at numbers (`if inputs.sum() > 0`). Such a network is exported as
the name of its class, and loads only where the repository is.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lab.base.errors import LabError, TaskError, shortened
from lab.base.params import ModelParams
from lab.base.silence import quiet
from lab.base.task_code import running_task_code
from lab.data.description import Description
from lab.data.examples import Scaling
from lab.data.prepared import Prepared
from lab.results.weights import Weights
from lab.training.module import Module
from lab.training.networks import initialised, is_stacked

TRIED = (2, 1, 64)  # examples at once, of the test split, on which a program is tried
TOLERANCE = 1e-5  # of a probability


class Classifier(nn.Module):
    """A trained module between its scaling and a softmax."""

    def __init__(self, trained: Module) -> None:
        super().__init__()
        self.network = trained.module
        self._scaler = trained.scaler

    def forward(self, inputs: Tensor) -> Tensor:
        """Probabilities [B, C] float32 of inputs as the data store them."""
        logits: Tensor = self.network(self._scaler(inputs))
        return logits.float().softmax(dim=1)


def exported(
    model: ModelParams,
    data: Prepared,
    description: dict[str, Any],
    tensors: Weights,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Any], bytes | None]:
    """How a module loads, and its program; the same module gives the same bytes.

    Args:
        model: its params.
        data: on which it was trained; the program is tried on test examples.
        description: what its `model.json` says so far.
        tensors: its weights.
        say: takes the line on a network that cannot be a program.

    Raises:
        LabError: the network is no module, or not the one that the weights belong to.
    """
    classifier = _with_weights(model, data.description, description, tensors)
    examples, file = data.test.inputs[: max(TRIED)], f"task/networks/{model.network}.py"
    try:
        with quiet(), torch.no_grad(), running_task_code(file):
            program = _program(classifier, examples)  # what it warns of would show below
            _require_the_same(program, classifier, examples)
    except MemoryError:
        raise
    except Exception as error:  # whatever torch.export raises, it cannot follow the network
        reason = shortened(str(error).partition("\n")[0].removesuffix("; correct it"), 160)
        where = "" if isinstance(error, TaskError) else f"{file}: "
        say(
            f"models/best: {where}{reason}: torch.export cannot follow that, so the model loads "
            "only where this repository is; to load it elsewhere, write that in torch's operations "
            "(torch.where for an if on numbers)"
        )
        return {"form": "class"}, None
    return {"form": "program", "torch": torch.__version__.partition("+")[0]}, _bytes(program)


def restored(folder: Path) -> Callable[[Tensor], Tensor]:
    """A network of `models/best` that is no program.

    Raises:
        LabError: the class is not the one that the weights belong to.
    """
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    # Only what a network is built of; the rest of params.yaml and metrics/dataset.json is not here.
    model = ModelParams.model_construct(network=description["network"], **description["arguments"])
    scaling = description["scaling"]
    data = Description.model_construct(
        **{key: description[key] for key in ("shape", "dtype", "vocabulary", "class_names")},
        scaling=scaling and Scaling(**scaling),
    )
    tensors = safetensors.numpy.load_file(folder / "weights.safetensors")
    return _with_weights(model, data, description, tensors)


def _with_weights(
    model: ModelParams, data: Description, description: dict[str, Any], tensors: Weights
) -> Classifier:
    name, seed = description["model"], description["seed"]
    if is_stacked(model):
        raise LabError(
            f"models.{name}.network: of networks that are no torch.nn.Module only dense layers "
            f"can be exported, as training left them; got {model.network}; run `dvc repro --force "
            f"train@{name}`, or choose another network"
        )
    trained = initialised(name, model, data, [seed])
    assert isinstance(trained, Module)  # noqa: S101
    try:
        trained.module.load_state_dict({key: torch.tensor(tensors[key]) for key in tensors})
    except RuntimeError as error:
        raise LabError(
            f"task/networks/{model.network}.py: must be as it was when {name} was trained; got "
            f"{shortened(str(error), 160)}; run `dvc repro`"
        ) from None
    return Classifier(trained).requires_grad_(False).eval()


def _program(classifier: Classifier, examples: NDArray[Any]) -> ExportedProgram:
    # Of one alone torch would take the 1 for a constant.
    inputs = torch.tensor(np.resize(examples, (TRIED[0], *examples.shape[1:])))
    classifier(inputs)  # the scaler makes its numbers once, and not as a part of the program
    program = torch.export.export(classifier, (inputs,), dynamic_shapes=({0: Dim.DYNAMIC},))
    # The rest would be this machine's paths, and examples as a pickle.
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    program.example_inputs = None
    return program


def _require_the_same(
    program: ExportedProgram, classifier: Classifier, examples: NDArray[Any]
) -> None:
    follows = program.module()
    for count in TRIED:
        inputs = torch.tensor(examples[:count])
        gap = (follows(inputs) - classifier(inputs)).abs().max().item()
        if not gap <= TOLERANCE:
            raise ValueError(f"the program's probabilities of {len(inputs)} differ by {gap:.2g}")


def _bytes(program: ExportedProgram) -> bytes:
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()
