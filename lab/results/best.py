"""`models/best`: one seed of the chosen model, which loads without knowing its architecture."""

import io
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.base.files import write_bytes, write_json
from lab.base.params import ModelParams
from lab.base.records import Record, read_record
from lab.data.prepared import Prepared
from lab.results import served_model, weights
from lab.results.predictions import read_predictions
from lab.results.probabilities import TOLERANCE
from lab.results.storage import TRAINED
from lab.results.weights import Weights

TRIED = 64  # test examples that must come out as training had them
PROGRAM = "network.pt2"
MAX_BYTES = 2**24  # of model.json
REMAKE = "run `dvc repro --force compare`"
_ERF = np.vectorize(math.erf, otypes=[np.float64])
ACTIVATIONS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "linear": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
    "gelu": lambda values: values * (1 + _ERF(values / math.sqrt(2))) / 2,
}

# A network that is more than dense layers -> the keys of `model.json` that say how it loads, and
# the bytes of its program, if it can be one.
Export = Callable[
    [ModelParams, Prepared, dict[str, Any], Weights], tuple[dict[str, Any], bytes | None]
]


class Layers(Record):
    """Dense layers: inputs, units of each hidden layer, classes; and what stands between them."""

    widths: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2)]
    activation: Literal["linear", "relu", "tanh", "gelu"]


class Best(BaseModel):
    """Whose network `model.json` describes and how it loads; the rest of it, the data say, too."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    model: str
    seed: int
    form: Literal["layers", "program", "class"]
    layers: Layers | None = None

    @model_validator(mode="after")
    def _layers_where_the_form_is(self) -> "Best":
        if (self.form == "layers") != (self.layers is not None):
            raise ValueError("layers must stand there if the form is layers, and only then")
        return self


def read(folder: Path) -> Best:
    """Reads the `model.json` of a folder that `write` wrote.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_record(folder / "model.json", Best, MAX_BYTES, REMAKE)


def write(
    folder: Path,
    name: str,
    seed: int,
    model: ModelParams,
    data: Prepared,
    export: Export,
    root: Path = Path(),
) -> None:
    """Writes one seed's network so that `lab.results.served_model.load` and MLflow load it.

    `weights.safetensors` holds that seed's part of the stack, `model.json` what the inputs are and
    how the network loads, `example.npy` a test example. Dense layers are described in
    `model.json` and need no more; all else is a program, `network.pt2`.

    Args:
        folder: `models/best`.
        name: of the model.
        seed: the one to write.
        model: its params.
        data: on which it was trained.
        export: called for a network that is more than dense layers.
        root: the project that trained it.

    Raises:
        LabError: a file of the model is missing or damaged, or its network cannot be exported.
    """
    tensors = weights.read_seed(name, seed, root)
    described = data.description
    description = {
        "schema_version": 1,
        "model": name,
        "seed": seed,
        "network": model.network,
        "arguments": model.own,
        "kind": described.kind,
        "shape": described.shape,
        "dtype": described.dtype,
        "scaling": described.scaling and described.scaling.model_dump(),
        "class_names": described.class_names,
        "vocabulary": described.vocabulary,
        "columns": described.columns,
    }
    layers, program = _layers(model, tensors, len(described.class_names)), None
    if layers and _gives_the_stored(layers, tensors, description, data, root):
        description |= {"form": "layers", "layers": layers}
    else:
        loading, program = export(model, data, description, tensors)
        description |= loading
    (folder / PROGRAM).unlink(missing_ok=True)  # another model's
    write_bytes(folder / "weights.safetensors", safetensors.numpy.save(tensors))
    if program is not None:
        write_bytes(folder / PROGRAM, program)
    write_bytes(folder / "example.npy", _npy(data.test.inputs[:1]))
    write_json(folder / "model.json", description)


def _layers(model: ModelParams, tensors: Weights, classes: int) -> dict[str, Any] | None:
    """The dense layers that the weights may belong to; activations stand between them."""
    hidden, activation = model.own.get("hidden"), model.own.get("activation")
    if not isinstance(hidden, list) or activation not in ACTIVATIONS or "0.weight" not in tensors:
        return None
    widths = [int(tensors["0.weight"].shape[-1]), *hidden, classes]
    wanted: dict[str, tuple[int, ...]] = {}
    for position, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        wanted |= {f"{2 * position}.weight": (fan_out, fan_in), f"{2 * position}.bias": (fan_out,)}
    if {key: tensor.shape for key, tensor in tensors.items()} != wanted:
        return None
    return {"widths": widths, "activation": activation}


def _gives_the_stored(
    layers: dict[str, Any],
    tensors: Weights,
    description: dict[str, Any],
    data: Prepared,
    root: Path,
) -> bool:
    """Whether these layers say of test examples what the trained network said of them.

    Weights of the same shapes could be another network's. In NumPy, to spare the import of torch.
    """
    examples = data.test.inputs[:TRIED]
    values = served_model.scaled(description, examples).reshape(len(examples), -1)
    activate = ACTIVATIONS[layers["activation"]]
    last = len(layers["widths"]) - 2
    for position in range(last + 1):
        weight, bias = tensors[f"{2 * position}.weight"], tensors[f"{2 * position}.bias"]
        values = values @ weight.T + bias
        values = values if position == last else activate(values)
    exponential = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities = exponential / exponential.sum(axis=1, keepdims=True)

    path = root / TRAINED / description["model"] / "predictions.npz"
    found = read_predictions(path, len(description["class_names"]))
    row = found.seeds.tolist().index(description["seed"])
    predicted, confidence = found.predictions[row, :TRIED], found.confidence[row, :TRIED]
    given = probabilities[np.arange(len(examples)), predicted]
    return bool(np.allclose(given, confidence, rtol=0, atol=TOLERANCE))


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()
