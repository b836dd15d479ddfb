"""Evidence of made-up comparisons, as tests of the report and its pictures need it."""

import base64
from typing import Any

import numpy as np

from lab.evidence.schema import Evidence

WOBBLE = [-1.0, 1.0] * 5
COMMITS = ("1" * 40, "2" * 40)  # baseline, candidate
SCORES = [
    {"name": "accuracy", "unit": "%", "higher_is_better": True},
    {"name": "loss", "unit": "nats", "higher_is_better": False},
    {"name": "calibration_error", "unit": "%", "higher_is_better": False},
]
CLASSES = [str(digit) for digit in range(10)]


def confusion(mistakes: int, seeds: int = 10) -> list[list[int]]:
    counts = np.full((10, 10), mistakes)
    np.fill_diagonal(counts, 1000 * seeds - 9 * mistakes)
    rows: list[list[int]] = counts.tolist()
    return rows


def confused(counts: list[list[int]]) -> dict[str, Any]:
    """The fields of a side that are made of its confusion."""
    classes = [{"actual": sum(row), "right": row[label]} for label, row in enumerate(counts)]
    return {"classes": classes, "confusion": counts if len(counts) <= 100 else None}


def side(mean=0.97, sd=0.0005, seeds=range(10), mistakes=30, cost=True) -> dict[str, Any]:
    seeds = list(seeds)
    values = [round(mean + sd * WOBBLE[index % 10], 6) for index in range(len(seeds))]
    scores = {
        "accuracy": values,
        "loss": [round(2 * (1 - value), 6) for value in values],
        "calibration_error": [0.004] * len(seeds),
    }
    epochs = [1, 2, 3]
    return {
        "seeds": seeds,
        "parameter_count": 101_770,
        "device": "cpu",
        "precision": "float32",
        "validation": scores,
        "test": scores,
        **confused(confusion(mistakes, len(seeds))),
        "curve": {
            "epoch": epochs,
            "train_loss": [0.3 - mean / 10, 0.2 - mean / 10, 0.1],
            "train_loss_sd": [0.01, 0.01, 0.01],
            "validation_accuracy": [mean - 0.02, mean - 0.01, mean],
            "validation_accuracy_sd": [sd, sd, sd],
        },
        "cost": {
            "wall_seconds": 12.25,
            "cpu_seconds": 20.5,
            "image_steps_per_second": 220_000.0,
            "peak_memory_bytes": 900 * 2**20,
        }
        if cost
        else None,
    }


def model(name="relu_128", candidate=None, baseline=None, **more) -> dict[str, Any]:
    return {
        "name": name,
        "renamed_from": None,
        "candidate": candidate,
        "baseline": baseline,
        "committed": None,
        "candidate_missing": None,
        "baseline_missing": None,
        "stale": [],
        "moved": [],
        "anchor": None,
        "images": None,
        **more,
    }


def on_seeds(mean=0.97, sd=0.0005, seeds=range(10)) -> dict[str, Any]:
    """The test scores of a side, as a trial and an anchor have them."""
    given = side(mean, sd, seeds)
    return {"seeds": given["seeds"], "test": given["test"]}


def trial(candidate, baseline, kind="extended", **more) -> dict[str, Any]:
    """Models by name, as `on_seeds` makes them."""
    return {
        "kind": kind,
        "run": 123 if kind == "fresh" else None,
        "candidate": candidate,
        "baseline": baseline,
        "seeds_trained": 20,
        "wall_seconds": 31.5,
        **more,
    }


def shifted(shift, sd=0.0, name="relu_128") -> dict[str, Any]:
    """A model whose seeds are better by `shift`, the differences spread by `sd`."""
    baseline, candidate = side(0.97), side(0.97 + shift, mistakes=28)
    accuracy = candidate["test"]["accuracy"]
    for index in range(len(accuracy)):  # a wobble that the baseline's does not take back
        accuracy[index] = round(accuracy[index] + sd * (1 if index < 5 else -1), 6)
    return model(name, candidate, baseline)


OWN = [
    {"name": "macro_f1", "unit": "%", "higher_is_better": True},
    {"name": "perplexity", "unit": "", "higher_is_better": False},
    {"name": "latency", "unit": "ms", "higher_is_better": False},
]


def with_own(entry, *, baseline=True, shift=0.0) -> dict[str, Any]:
    """A model whose sides also have the scores `OWN`, the candidate's higher by `shift`."""
    for which, amount in (("baseline", 0.0), ("candidate", shift)):
        if which == "candidate" or baseline:
            side = entry[which]
            for number, score in enumerate(OWN, start=1):
                side["test"][score["name"]] = [
                    round(0.5 * number + amount + 0.001 * WOBBLE[index % 10], 6)
                    for index in range(len(side["seeds"]))
                ]
    return entry


def split(examples: int, digest: str, classes=10) -> dict[str, Any]:
    counts = [examples // classes] * classes
    return {"examples": examples, "sha256": digest * 64, "examples_per_class": counts}


def data(train="a", test="c", examples=54_000, kind="grey image", names=CLASSES) -> dict[str, Any]:
    return {
        "name": "MNIST",
        "split_seed": 0,
        "kind": kind,
        "class_names": names,
        "train": split(examples, train, classes := len(names or CLASSES)),
        "validation": split(6_000, "b", classes),
        "test": split(10_000, test, classes),
    }


def grey(height=28, width=28) -> dict[str, Any]:
    pixels = bytes((row * column) % 256 for row in range(height) for column in range(width))
    return {"kind": "grey image", "height": height, "width": width,
            "pixels": base64.b64encode(pixels).decode()}  # fmt: skip


def colour(height=32, width=32) -> dict[str, Any]:
    """Red grows to the right, green downwards."""
    pixels = bytes(
        value
        for row in range(height)
        for column in range(width)
        for value in (255 * column // width, 255 * row // height, 64)
    )
    return {**grey(height, width), "kind": "colour image",
            "pixels": base64.b64encode(pixels).decode()}  # fmt: skip


def text(words="My card has not arrived yet, what can I do about it?") -> dict[str, Any]:
    return {"kind": "text", "text": words}


def row(*columns) -> dict[str, Any]:
    columns = columns or (
        ("capital_gain", 99_999.0, 13.25),
        ("age", 90.0, -1.5),
        ("tax", None, 0.0),
    )
    keys = ("name", "value", "deviation")
    return {"kind": "row", "columns": [dict(zip(keys, one, strict=True)) for one in columns],
            "column_count": 14}  # fmt: skip


def example(index=7, name="relu_128", label=4, before=9, after=4, given=None) -> dict[str, Any]:
    return {
        "model": name,
        "index": index,
        "label": label,
        "baseline_prediction": before,
        "candidate_prediction": after,
        "baseline_votes": 8,
        "candidate_votes": 10,
        "baseline_seeds": 10,
        "candidate_seeds": 10,
        "input": given or grey(),
    }


def flips(name="relu_128", missing=None) -> dict[str, Any]:
    return {"model": name, "fixed": 0 if missing else 12, "broken": 0 if missing else 3,
            "still_wrong": 0 if missing else 1, "missing": missing}  # fmt: skip


def data_check(doubtful=1_121, more=0, **sentences) -> dict[str, Any]:
    """What the rules found, by their names; those that found nothing have no sentences."""
    levels = {
        "values": "stop",
        "leakage": "warn",
        "drift": "warn",
        **dict.fromkeys(sentences, "warn"),
    }
    return {
        "findings": [
            {"rule": rule, "level": level, "sentences": sentences.get(rule, []),
             "more": more if rule in sentences else 0}
            for rule, level in levels.items()
        ],
        "doubtful_labels": doubtful,
    }  # fmt: skip


def form(name="model", size=409_000, flips=0, verdict="equivalent", reason=None) -> dict[str, Any]:
    """A file of an export, of ten seeds' 10,000 test images."""
    return {"name": name, "size": size, "flips": flips, "predictions": 100_000,
            "verdict": verdict, "reason": reason}  # fmt: skip


def exported(*forms, reason=None) -> dict[str, Any]:
    """What became of the export of `relu_128`."""
    return {"model": "relu_128", "forms": list(forms), "reason": reason}


def evidence(*models, **more) -> dict[str, Any]:
    """A whole report.json; keywords replace its fields."""
    baseline, candidate = COMMITS
    return {
        "schema_version": 7,
        "scores": SCORES,
        "scores_missing": None,
        "scores_removed": [],
        "metric": "accuracy",
        "baseline_metric": "accuracy",
        "margin": 0.001,
        "baseline_margin": 0.001,
        "looks": [10],
        "budget": 0,
        "baseline_budget": 0,
        "confirmation": None,
        "trial": None,
        "trial_missing": None,
        "anchor": None,
        "past": [],
        "class_names": CLASSES,
        "candidate": {
            "commit": candidate,
            "uncommitted": [],
            "uncommitted_total": 0,
            "committed_stale": [],
            "inherited_stale": [],
            "machine": "A processor, 2 cores",
            "packages": [{"key": "torch", "baseline": "2.15.0", "candidate": "2.15.0+cpu"}],
        },
        "baseline": {
            "commit": baseline,
            "named": None,
            "branch": "main",
            "behind": 3,
            "origin": "committed",
            "reasons": [],
            "models": [each["renamed_from"] or each["name"] for each in models if each["baseline"]],
        },
        "candidate_data": data(),
        "baseline_data": data(),
        "candidate_check": None,
        "baseline_check": None,
        "candidate_export": None,
        "models": list(models),
        "changes": {
            "params": [
                {"key": "models.relu_128.learning_rate", "baseline": "0.005", "candidate": "0.002"}
            ],
            "params_total": 1,
            "code": [
                {
                    "path": "lab/training/loop.py",
                    "added": 3,
                    "removed": 1,
                    "stages": ["train@relu_128"],
                }
            ],
            "code_total": 1,
            "packages": [{"key": "numpy", "baseline": "2.4.0", "candidate": "2.4.1"}],
            "packages_total": 1,
        },
        "stages": [
            {"name": "prepare", "state": "unchanged", "reasons": []},
            {
                "name": "train@relu_128",
                "state": "ran",
                "reasons": ["models.relu_128.learning_rate 0.005 → 0.002"],
            },
        ],
        "examples": [example()],
        "flips": [flips()],
        **more,
    }


def made(*models, **more) -> Evidence:
    return Evidence.model_validate(evidence(*models, **more))
