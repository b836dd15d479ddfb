"""The chosen network as MLflow loads and serves it: code and safetensors, no pickle.

MLflow copies this one file beside the weights, so it imports nothing of this project. It also
runs it to save a model, hence torch (2 s) is imported only to load one.
"""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    import torch


class DigitClassifier(PythonModel):
    """Predicts the class of each image."""

    def load_context(self, context: PythonModelContext) -> None:
        """Builds the network that `model.json` describes and loads its weights."""
        from safetensors.torch import load_file

        description = json.loads(Path(context.artifacts["model"]).read_text())
        self.inputs: int = description["inputs"]
        self.network = _network(description)
        self.network.load_state_dict(load_file(context.artifacts["weights"]))
        self.network.eval()

    # MLflow reads the type of `model_input` and warns of every array type but the bare one.
    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Class of each image.

        Args:
            context: what `load_context` got.
            model_input: images along the first axis, flat or two-dimensional; integers from 0
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


def _network(description: dict[str, Any]) -> "torch.nn.Sequential":
    from torch import nn

    activations: dict[str, type[nn.Module]] = {
        "linear": nn.Identity,
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
    }
    sizes = [description["inputs"], *description["hidden"], description["classes"]]
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(sizes):
        layers += [nn.Linear(width_in, width_out), activations[description["activation"]]()]
    return nn.Sequential(*layers[:-1])


set_model(DigitClassifier())
