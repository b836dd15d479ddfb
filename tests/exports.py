"""Trained models as their export finds them, for tests that need no pipeline."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto
from trained import write_best

import export as script
from lab.base.params import ModelParams
from lab.data.prepared import Prepared
from lab.exporting.forms import Trained, Yardstick
from lab.results import best
from lab.results.comparison import Chosen
from lab.results.schema import ACCURACY, Score
from lab.serving.network import DESCRIBED


def metadata(data: Prepared, form: str = "model", score: float = 0.0) -> dict[str, str]:
    """What a file says of itself."""
    described = data.description.model_dump(include={*DESCRIBED})
    said = {"model": "small", "seed": "9", "dataset": data.description.name}
    said |= dict.fromkeys(("train_sha256", "test_sha256", "results_sha256"), "0" * 64)
    return {"description": json.dumps(described), "form": form, "metrics": str(score), **said}


def saying(data: Prepared) -> Any:
    """The same as a function, as forms want it."""

    def of(form: str, _: Sequence[int], score: float) -> Mapping[str, str]:
        return metadata(data, form, score)

    return of


def trained(model: ModelParams, data: Prepared) -> tuple[ModelProto | None, Trained, str | None]:
    """Trains two seeds in the working directory; the graph of seed 9, or why there is none."""
    write_best(model, data)
    graph, reason = script.graph_of(best.read(Path("models/best")), data.description)
    return graph, script.stored(Chosen(model="small", seed=9), data), reason


def yardstick(data: Prepared, margin: float = 0.01, metric: Score = ACCURACY) -> Yardstick:
    """Accuracy, of the tiny task or another score that is declared there."""
    return Yardstick(metric, margin, script.scores_of(metric, data))
