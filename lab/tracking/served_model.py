"""The chosen network as plain torch, and as MLflow loads and serves it: safetensors, no pickle.

MLflow copies this one file beside the weights, so it imports nothing of this project. It also
runs it to save a model, hence torch (2 s) is imported only to load one.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from mlflow.pyfunc.model import PythonModelContext


def sequential(description: Mapping[str, Any]) -> "torch.nn.Sequential":
    """The network that a `model.json` describes: `inputs`, `hidden`, `activation`, `classes`."""
    from torch import nn

    activations: dict[str, type[nn.Module]] = {
        "linear": nn.Identity,
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
    }
    sizes = [description["inputs"], *description["hidden"], description["classes"]]
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), activations[description["activation"]]()]
    return nn.Sequential(*layers[:-1])


def _serve() -> None:
    from mlflow.models import set_model
    from mlflow.pyfunc.model import PythonModel

    class Classifier(PythonModel):
        """Predicts the class of each input."""

        def load_context(self, context: "PythonModelContext") -> None:
            """Builds the network that `model.json` describes and loads its weights."""
            from safetensors.torch import load_file

            description = json.loads(Path(context.artifacts["model"]).read_text())
            self.inputs: int = description["inputs"]
            self.network = sequential(description)
            self.network.load_state_dict(load_file(context.artifacts["weights"]))
            self.network.eval()

        # MLflow evaluates these types, and warns of every array type but the bare one.
        def predict(
            self,
            context: Any,
            model_input: np.ndarray,
            params: dict[str, Any] | None = None,
        ) -> np.ndarray:
            """Class of each input.

            Args:
                context: what `load_context` got.
                model_input: inputs along the first axis, flat or two-dimensional; integers from 0
                    to 255, or floating point from 0 to 1.
                params: not used.
            """
            import torch

            pixels = np.asarray(model_input)
            scale = 255.0 if pixels.dtype.kind in "iu" else 1.0
            images = torch.from_numpy(np.array(pixels, dtype=np.float32).reshape(-1, self.inputs))
            with torch.inference_mode():
                logits: torch.Tensor = self.network(images / scale)
            return logits.argmax(dim=1).numpy()

    set_model(Classifier())


if not __name__.startswith("lab."):  # MLflow runs this file or its copy under a name of its own
    _serve()
