"""Loads `models/best` as a function from stored inputs to probabilities; MLflow's model, too.

MLflow copies this one file beside the weights, so it imports nothing of this project. It also
runs it to save a model, hence torch (2 s) is imported only to load one.
"""

import itertools
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from mlflow.pyfunc.model import PythonModelContext

Description = Mapping[str, Any]  # a `model.json`
CUT = 4  # no usual scaling of pixels reaches further from 0


def load(folder: str | Path) -> "Classifier":
    """The network of a folder that `compare.py` wrote, `models/best` or a copy of it.

    Load what you trust: `network.pt2` is a program.

    Raises:
        ValueError: the folder is not whole, or was made by another version of torch.
    """
    folder = Path(folder)
    try:
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        form = {"layers": _layers, "program": _program, "class": _class}[description["form"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder}: must hold a whole model.json; got {error!r}") from None
    return Classifier(description, form(folder, description))


class Classifier:
    """Probabilities [N, C] float32 of inputs [N, ...] as the data store them.

    Attributes:
        description: `model.json`: `class_names`, `shape`, `dtype` and the rest.
    """

    def __init__(
        self, description: Description, network: "Callable[[torch.Tensor], torch.Tensor]"
    ) -> None:
        self.description = description
        self._network = network

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """The probability of each class for each input.

        Raises:
            ValueError: the inputs are not as the data store them.
        """
        import torch

        examples = stored(self.description, inputs)
        if not len(examples):
            return np.empty((0, len(self.description["class_names"])), np.float32)
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = self._network(torch.from_numpy(examples)).numpy()
        return probabilities


def stored(description: Description, inputs: NDArray[Any]) -> NDArray[Any]:
    """Inputs in the shape and type of the data, which no guess has a part in.

    Integers may be of any width if the values fit; numbers of float32 data may be of any type and
    are rounded to it. Nothing is reshaped or rescaled: the network scales by itself.

    Raises:
        ValueError: says which rule, what was got, and what to send.

    >>> grey = {"shape": [1, 2], "dtype": "uint8", "kind": "grey image", "vocabulary": None}
    >>> stored(grey, np.array([[[0, 255]]], np.int64))
    array([[[  0, 255]]], dtype=uint8)
    >>> stored(grey, np.array([[0, 255]]))
    Traceback (most recent call last):
    ValueError: inputs must be [N, 1, 2] uint8; got [1, 2] int64; one input alone is inputs[None]
    """
    shape, dtype = list(description["shape"]), np.dtype(description["dtype"])

    def refused(advice: str) -> ValueError:  # whose words take as long as all the rest
        got = f"{list(array.shape)} {array.dtype}"
        return ValueError(f"inputs must be {_form(shape, dtype)}; got {got}; {advice}")

    try:
        array = np.asarray(inputs)
    except ValueError:
        got = "lists of different lengths"
        raise ValueError(f"inputs must be {_form(shape, dtype)}; got {got}") from None
    if array.ndim == 0 or list(array.shape[1:]) != shape:
        raise refused(_shape_advice(list(array.shape), shape))
    if dtype.kind in "iu":
        if array.dtype.kind not in "iu":
            raise refused(_whole_numbers_advice(description))
        highest = (description["vocabulary"] or 0) - 1 if dtype == np.int64 else 255
        rule = f"inputs must be 0 to {highest}"
        is_byte = array.dtype == np.uint8 and highest >= 255  # which a service need not look at
        wrong = np.False_ if is_byte else (array < 0) | (array > highest)
    else:
        if array.dtype.kind not in "iuf":
            raise refused("send numbers")
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        has_fill = bool((description["scaling"] or {}).get("fill"))
        wrong = np.isinf(array) if has_fill else ~np.isfinite(array)
        rule = f"inputs must be finite{' float32, or missing (NaN)' if has_fill else ' float32'}"
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        columns = description.get("columns")
        where = columns[place[1]] if columns else place[1:]
        raise ValueError(f"{rule}; got {array[tuple(place)]} at row {place[0]}, {where}")
    return np.require(array, dtype, ["C_CONTIGUOUS", "WRITEABLE"])  # as torch wants them


def _form(shape: list[int], dtype: np.dtype[Any]) -> str:
    return f"[N, {', '.join(map(str, shape))}] {dtype}"


def _shape_advice(got: list[int], shape: list[int]) -> str:
    if got == shape:
        return "one input alone is inputs[None]"
    if len(got) == 2 and got[1] == math.prod(shape):
        return f"rows that hold them flat are inputs.reshape(-1, {', '.join(map(str, shape))})"
    return "send them as the data have them"


def _whole_numbers_advice(description: Description) -> str:
    if description["dtype"] == "int64":
        return "send the ids of tokens, as integers"
    return "send the bytes 0 to 255 as the data have them; the network scales them by itself"


def require_no_cut_fractions(description: Description, inputs: NDArray[Any]) -> None:
    """Refuses what MLflow's server makes of pixels that were scaled to 0 to 1 or around 0.

    It makes whole bytes of JSON's numbers by cutting: 0.9 becomes 0. (NumPy refuses those from -1
    down.)

    Raises:
        ValueError: all are such bytes, where scaling says that they are all of 0 to 255.

    >>> grey = {"dtype": "uint8", "kind": "grey image", "scaling": {"scale": [255.0]}}
    >>> require_no_cut_fractions(grey, np.array([[0, 255]], np.uint8))
    >>> require_no_cut_fractions(grey, np.array([-0.4, 0.0, 2.8]).astype(np.uint8))
    Traceback (most recent call last):
    ValueError: inputs must not be fractions, of which a uint8 model gets the bytes 0 to 2; \
send the bytes 0 to 255 as the data have them; the network scales them by itself
    """
    scaling = description["scaling"]
    are_large = description["dtype"] == "uint8" and scaling and max(scaling["scale"]) > 1
    if are_large and len(inputs) and np.max(inputs) <= CUT:
        raise ValueError(
            f"inputs must not be fractions, of which a uint8 model gets the bytes "
            f"{inputs.min()} to {inputs.max()}; {_whole_numbers_advice(description)}"
        )


def scaled(description: Description, examples: NDArray[Any]) -> NDArray[np.float32]:
    """Examples as a network of layers sees them: filled, shifted and scaled in float32."""
    values = examples.astype(np.float32)
    scaling = description["scaling"]
    if scaling is None:
        return values
    across = (-1, 1, 1) if len(description["shape"]) == 3 else (-1,)

    def numbers(which: str) -> NDArray[np.float32]:
        return np.array(scaling[which], np.float32).reshape(across)

    if scaling["fill"]:
        values = np.where(np.isnan(values), numbers("fill"), values)
    result: NDArray[np.float32] = (values - numbers("shift")) / numbers("scale")
    return result


def sequential(layers: Mapping[str, Any]) -> "torch.nn.Sequential":
    """The network that the `layers` of a `model.json` describe: `widths` and `activation`."""
    from torch import nn

    activations: dict[str, type[nn.Module]] = {
        "linear": nn.Identity,
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
    }
    modules: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(layers["widths"]):
        modules += [nn.Linear(fan_in, fan_out), activations[layers["activation"]]()]
    return nn.Sequential(*modules[:-1])


def _layers(folder: Path, description: Description) -> "Callable[[torch.Tensor], torch.Tensor]":
    """Dense layers, built from `model.json`."""
    import torch
    from safetensors.torch import load_file

    network = sequential(description["layers"])
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    network.eval()

    def probabilities(examples: torch.Tensor) -> torch.Tensor:
        values = torch.from_numpy(scaled(description, examples.numpy()))
        logits: torch.Tensor = network(values.flatten(start_dim=1))
        return logits.softmax(dim=1)

    return probabilities


def _program(folder: Path, description: Description) -> "Callable[[torch.Tensor], torch.Tensor]":
    """Any other network, as the program that torch.export made of it."""
    import torch

    path = folder / "network.pt2"
    try:
        program: torch.nn.Module = torch.export.load(path).module()
    except Exception as error:  # of a file by another version torch raises nearly anything
        versions = f"torch {description['torch']} wrote it, this is {torch.__version__}"
        raise ValueError(
            f"{path}: cannot be loaded ({type(error).__name__}); {versions}"
        ) from error
    return program


def _class(folder: Path, description: Description) -> "Callable[[torch.Tensor], torch.Tensor]":
    """A network that torch.export cannot follow: its class, out of the repository."""
    import importlib

    try:
        export = importlib.import_module("lab.training.export")
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("lab"):
            raise
        raise ValueError(
            f"{folder}: needs the repository, because its network is no program but the class of "
            f"task/networks/{description['network']}.py; put the repository on PYTHONPATH"
        ) from None
    network: Callable[[torch.Tensor], torch.Tensor] = export.restored(folder)
    return network


def _serve() -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.models import set_model
    from mlflow.pyfunc.model import PythonModel

    class ServedModel(PythonModel):
        """Predicts the class of each input."""

        def load_context(self, context: "PythonModelContext") -> None:
            """Loads the files, which MLflow keeps in one folder."""
            self.classifier = load(Path(context.artifacts["model"]).parent)

        # MLflow evaluates these types, and warns of every array type but the bare one.
        def predict(
            self,
            context: Any,
            model_input: np.ndarray,
            params: dict[str, Any] | None = None,
        ) -> np.ndarray:
            """Class of each input, a number from 0.

            Args:
                context: what `load_context` got.
                model_input: inputs as the data store them, along the first axis.
                params: not used.
            """
            try:
                classes: np.ndarray = self.classifier(model_input).argmax(axis=1)
                require_no_cut_fractions(self.classifier.description, model_input)
            except (
                ValueError
            ) as error:  # of other errors MLflow's server does not pass on what is said
                raise MlflowException.invalid_parameter_value(str(error)) from error
            return classes

    set_model(ServedModel())


# MLflow runs this file or its copy under a name of its own.
if not __name__.startswith("lab.") and "mlflow" in sys.modules:
    _serve()
