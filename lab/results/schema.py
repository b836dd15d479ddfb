"""The on-disk schema of results, versioned: what stages write and reports read."""

import csv
import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import Field, ValidationError, model_validator
from scipy.special import stdtrit  # scipy.stats has the same, and takes a second to import

from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes, replacing, write_bytes, write_json, write_text
from lab.base.params import ModelParams
from lab.base.records import Record, first_problem
from lab.data.dataset import CLASSES, Prepared

SCHEMA_VERSION: Literal[1] = 1
RUNS = Path("metrics/runs")
CURVES = Path("metrics/curves")
MODEL_RUNS = Path("models/runs")

CALIBRATION_BINS = 15  # as in Guo et al. 2017
CONFIDENCE = 0.95
MAX_RUN_BYTES = 20 * 2**20  # a thousand seeds have 200 kB
MAX_PREDICTIONS_BYTES = 2**29  # packed and unpacked; a thousand seeds have 50 MB
LARGEST_LOSS = 1e18  # nats an image; the sums over seeds stay finite
FEWEST_SEEDS = 3  # below, a t interval rests on one degree of freedom and says nothing

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Evaluation:
    """What S networks say of N images.

    accuracy_S in [0, 1]; loss_S mean cross-entropy in nats per image; predictions_SN (uint8)
    and confidence_SN (float32, probability of the predicted class).
    """

    accuracy_S: Floats
    loss_S: Floats
    predictions_SN: Bytes
    confidence_SN: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Epoch:
    """One finished epoch of some seeds; `number` counts from 1, values are per seed."""

    seeds: tuple[int, ...]
    number: int
    train_loss_S: Floats
    validation_loss_S: Floats
    validation_accuracy_S: Floats


@dataclass(frozen=True)
class Trained:
    """A trained model: weights as `Network.weights()`, every seed's history and evaluations."""

    seeds: tuple[int, ...]
    weights: dict[str, npt.NDArray[np.float32]]
    parameter_count: int
    epochs: tuple[Epoch, ...]
    validation: Evaluation
    test: Evaluation


class Spread(Record):
    """A quantity over seeds: mean, sample standard deviation (None for one seed), raw values."""

    mean: float
    sd: float | None
    per_seed: list[float]

    @classmethod
    def of(cls, values_S: Floats) -> "Spread":
        """The spread of one value per seed."""
        sd = float(np.std(values_S, ddof=1)) if len(values_S) > 1 else None
        return cls(mean=float(np.mean(values_S)), sd=sd, per_seed=[float(v) for v in values_S])

    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean; None with fewer than three seeds."""
        count = len(self.per_seed)
        if self.sd is None or count < FEWEST_SEEDS:
            return None
        half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * self.sd / math.sqrt(count)
        return self.mean - half, self.mean + half


class Scores(Record):
    """Accuracy in [0, 1]; loss in nats per image; calibration error in [0, 1]."""

    accuracy: Spread
    loss: Spread
    calibration_error: Spread

    @model_validator(mode="after")
    def _possible(self) -> "Scores":
        largest = {"accuracy": 1.0, "loss": LARGEST_LOSS, "calibration_error": 1.0}
        for name, spread in self:
            values = [spread.mean, spread.sd or 0.0, *spread.per_seed]
            if not 0 <= min(values) <= max(values) <= largest[name]:
                raise ValueError(f"{name} must be from 0 to {largest[name]:g}")
        return self


class RunResults(Record):
    """`metrics/runs/MODEL.json`: everything known of one trained model.

    `confusion[actual][predicted]` counts test images over all seeds.
    """

    schema_version: Literal[1]
    model: str
    device: str
    precision: str
    parameter_count: Annotated[int, Field(ge=1)]
    seeds: Annotated[list[int], Field(min_length=1)]
    validation: Scores
    test: Scores
    confusion: list[list[int]]

    @model_validator(mode="after")
    def _one_value_per_seed(self) -> "RunResults":
        for scores in (self.validation, self.test):
            for spread in (scores.accuracy, scores.loss, scores.calibration_error):
                if len(spread.per_seed) != len(self.seeds):
                    raise ValueError(
                        f"{len(self.seeds)} seeds, but {len(spread.per_seed)} values per seed"
                    )
        return self


class Predictions(NamedTuple):
    """Test predictions: seeds [S], predicted class [S, N] uint8, its probability [S, N] float32."""

    seeds: npt.NDArray[np.int64]
    predictions: Bytes
    confidence: npt.NDArray[np.float32]

    def of_seed(self, seed: int) -> Bytes:
        """The predicted classes [N] of one seed."""
        row: Bytes = self.predictions[self.seeds.tolist().index(seed)]
        return row


class CurvePoint(NamedTuple):
    """One epoch of a learning curve: means over seeds and sample standard deviations."""

    epoch: int
    train_loss: float | None
    train_loss_sd: float | None
    validation_loss: float | None
    validation_loss_sd: float | None
    validation_accuracy: float | None
    validation_accuracy_sd: float | None


def summary(
    model: str, trained: Trained, data: Prepared, *, device: str, precision: str
) -> RunResults:
    """What `metrics/runs/MODEL.json` says of a trained model."""
    return RunResults(
        schema_version=SCHEMA_VERSION,
        model=model,
        device=device,
        precision=precision,
        parameter_count=trained.parameter_count,
        seeds=list(trained.seeds),
        validation=_scores(trained.validation, data.validation.labels),
        test=_scores(trained.test, data.test.labels),
        confusion=confusion(trained.test.predictions_SN, data.test.labels, CLASSES),
    )


def _scores(evaluation: Evaluation, labels_N: Bytes) -> Scores:
    correct_SN = evaluation.predictions_SN == labels_N
    errors = [
        calibration_error(confidence_N, correct_N)
        for confidence_N, correct_N in zip(evaluation.confidence_SN, correct_SN, strict=True)
    ]
    return Scores(
        accuracy=Spread.of(evaluation.accuracy_S),
        loss=Spread.of(evaluation.loss_S),
        calibration_error=Spread.of(np.array(errors)),
    )


def calibration_error(
    confidence_N: npt.NDArray[np.float32], correct_N: npt.NDArray[np.bool_]
) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over 15 equal bins.

    Source: Guo et al. 2017, arXiv 1706.04599, section 2.

    >>> calibration_error(np.float32([0.75, 0.75, 0.75, 0.75]), np.array([True, True, True, False]))
    0.0
    """
    bin_N = np.minimum((confidence_N * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gap_N = confidence_N.astype(np.float64) - correct_N
    gaps = np.bincount(bin_N, weights=gap_N, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence_N))


def confusion(predictions_SN: Bytes, labels_N: Bytes, classes: int) -> list[list[int]]:
    """How often class `actual` (row) was called `predicted` (column), over all seeds.

    >>> confusion(np.uint8([[0, 1, 1]]), np.uint8([0, 0, 1]), 2)
    [[1, 1], [0, 1]]
    """
    cell_SN = labels_N.astype(np.int64) * classes + predictions_SN
    counts = np.bincount(cell_SN.ravel(), minlength=classes * classes)
    rows: list[list[int]] = counts.reshape(classes, classes).tolist()
    return rows


def curve(trained: Trained) -> list[CurvePoint]:
    """The learning curve of a model: one point an epoch."""
    points = []
    for number in range(1, max(epoch.number for epoch in trained.epochs) + 1):
        parts = [epoch for epoch in trained.epochs if epoch.number == number]
        values: list[float | None] = []
        for column in ("train_loss_S", "validation_loss_S", "validation_accuracy_S"):
            spread = Spread.of(np.concatenate([getattr(part, column) for part in parts]))
            values += [spread.mean, spread.sd]
        points.append(CurvePoint(number, *values))
    return points


def tracked(model: str) -> tuple[Path, Path]:
    """The files of one trained model that git tracks."""
    return RUNS / f"{model}.json", CURVES / f"{model}.csv"


def write_run(
    model: str, trained: Trained, data: Prepared, *, device: str, precision: str
) -> RunResults:
    """Writes all files of one trained model; the one that readers look for comes last."""
    folder = MODEL_RUNS / model
    described = {"seeds": trained.seeds, "sha256": _checksum(trained.weights)}
    # In one entry: safetensors writes several in an order that differs from run to run.
    weights = safetensors.numpy.save(trained.weights, {"stack": json.dumps(described)})
    write_bytes(folder / "weights.safetensors", weights)
    seeds = np.array(trained.seeds, dtype=np.int64)
    write_predictions(
        folder / "predictions.npz",
        Predictions(seeds, trained.test.predictions_SN, trained.test.confidence_SN),
    )
    run_file, curve_file = tracked(model)
    write_text(curve_file, csv_text(CurvePoint._fields, curve(trained)))
    run = summary(model, trained, data, device=device, precision=precision)
    write_json(run_file, run.model_dump())
    return run


def export_seed(folder: Path, name: str, seed: int, model: ModelParams) -> None:
    """Writes one seed's network so that torch.nn.Sequential and the served model load it.

    `weights.safetensors` holds that seed's part of the stack; `model.json` says which layers it
    belongs to. Dropout does nothing outside training and is not exported.

    Raises:
        DataError: the model's `weights.safetensors` is missing or damaged.
    """
    path = MODEL_RUNS / name / "weights.safetensors"
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            stacked = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            described = json.loads(file.metadata()["stack"])
            if (found := _checksum(stacked)) != (wanted := described["sha256"]):
                raise ValueError(f"SHA-256 must be {wanted[:12]}..., is {found[:12]}...")
            index = described["seeds"].index(seed)
            weights = {key: tensor[index] for key, tensor in stacked.items()}
            inputs = int(weights["0.weight"].shape[1])
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except Exception as error:  # safetensors and its metadata can be damaged in many ways
        raise DataError(f"{path}: damaged ({shortened(str(error))}); {_remake(path)}") from None
    write_bytes(folder / "weights.safetensors", safetensors.numpy.save(weights))
    description = {
        "model": name,
        "seed": seed,
        "inputs": inputs,
        "hidden": list(model.hidden),
        "activation": model.activation,
        "classes": CLASSES,
    }
    write_json(folder / "model.json", description)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def read_run(path: Path) -> RunResults:
    """Reads one `metrics/runs/MODEL.json`.

    Raises:
        DataError: the file is missing or breaks the schema.
    """
    try:
        return RunResults.model_validate_json(read_bytes(path, MAX_RUN_BYTES))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except ValidationError as error:
        raise DataError(
            f"{path}: {first_problem(error)}; run `dvc repro` to write it anew"
        ) from None


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Writes `predictions.npz`; same predictions, same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **predictions._asdict())


def read_predictions(path: Path) -> Predictions:
    """Reads `predictions.npz` without running any code it might hold.

    Raises:
        DataError: the file is missing, damaged or of another shape.
    """
    try:
        # From memory: numpy leaves the file open when it turns out not to be a zip.
        content = io.BytesIO(read_bytes(path, MAX_PREDICTIONS_BYTES))
        with zipfile.ZipFile(content) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_PREDICTIONS_BYTES:
            raise ValueError(f"it unpacks to {size:,} bytes")
        with np.load(content, allow_pickle=False) as arrays:
            found = Predictions(*(np.asarray(arrays[name]) for name in Predictions._fields))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise DataError(f"{path}: damaged ({shortened(str(error))}); {_remake(path)}") from None
    shapes = [array.shape for array in found]
    images = found.predictions.shape
    if len(images) != 2 or not found.predictions.size or shapes != [images[:1], images, images]:
        raise DataError(
            f"{path}: must be [seeds], [seeds, images] and the same; got {shapes}; {_remake(path)}"
        )
    kinds = [array.dtype.str[1:] for array in found]
    if kinds != ["i8", "u1", "f4"]:
        raise DataError(f"{path}: must be int64, uint8 and float32; got {kinds}; {_remake(path)}")
    if found.predictions.max() >= CLASSES:
        raise DataError(
            f"{path}: classes must be 0 to {CLASSES - 1}; got {found.predictions.max()}; "
            f"{_remake(path)}"
        )
    return found


def _checksum(weights: Mapping[str, npt.NDArray[Any]]) -> str:
    """Of weights, which are not checked by the file that holds them, as predictions are."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.ascontiguousarray(weights[name]).data)
    return digest.hexdigest()


def _remake(path: Path) -> str:
    """What mends a file of a model, also when DVC takes it for unchanged by its time and size."""
    return f"run `dvc repro --force train@{path.parent.name}`"
