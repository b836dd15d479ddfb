"""Evidence of made-up comparisons, as tests of the report and its pictures need it."""

import base64
from typing import Any

import numpy as np

from lab.evidence.schema import Evidence

WOBBLE = [-1.0, 1.0] * 5
COMMITS = ("1" * 40, "2" * 40)  # baseline, candidate
CLASSES = [str(digit) for digit in range(10)]


def confusion(mistakes: int, seeds: int = 10) -> list[list[int]]:
    counts = np.full((10, 10), mistakes)
    np.fill_diagonal(counts, 1000 * seeds - 9 * mistakes)
    rows: list[list[int]] = counts.tolist()
    return rows


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
        "confusion": confusion(mistakes, len(seeds)),
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
        "candidate_missing": None,
        "baseline_missing": None,
        "stale": [],
        **more,
    }


def shifted(shift, sd=0.0, name="relu_128") -> dict[str, Any]:
    """A model whose seeds are better by `shift`, the differences spread by `sd`."""
    baseline, candidate = side(0.97), side(0.97 + shift, mistakes=28)
    accuracy = candidate["test"]["accuracy"]
    for index in range(len(accuracy)):  # a wobble that the baseline's does not take back
        accuracy[index] = round(accuracy[index] + sd * (1 if index < 5 else -1), 6)
    return model(name, candidate, baseline)


def split(images: int, digest: str) -> dict[str, Any]:
    return {"images": images, "sha256": digest * 64, "images_per_class": [images // 10] * 10}


def data(train="a", test="c", images=54_000) -> dict[str, Any]:
    return {
        "name": "MNIST",
        "split_seed": 0,
        "train": split(images, train),
        "validation": split(6_000, "b"),
        "test": split(10_000, test),
    }


def image(index=7, name="relu_128", label=4, before=9, after=4) -> dict[str, Any]:
    pixels = bytes((row * column) % 256 for row in range(28) for column in range(28))
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
        "pixels": base64.b64encode(pixels).decode(),
    }


def flips(name="relu_128", missing=None) -> dict[str, Any]:
    return {"model": name, "fixed": 0 if missing else 12, "broken": 0 if missing else 3,
            "still_wrong": 0 if missing else 1, "missing": missing}  # fmt: skip


def evidence(*models, **more) -> dict[str, Any]:
    """A whole report.json; keywords replace its fields."""
    baseline, candidate = COMMITS
    return {
        "schema_version": 2,
        "margin": 0.001,
        "baseline_margin": 0.001,
        "class_names": CLASSES,
        "candidate": {
            "commit": candidate,
            "uncommitted": [],
            "uncommitted_total": 0,
            "committed_stale": [],
            "machine": "A processor, 2 cores",
            "packages": [{"key": "torch", "baseline": "2.15.0", "candidate": "2.15.0+cpu"}],
        },
        "baseline": {
            "commit": baseline,
            "named": None,
            "default_branch": "origin/main",
            "behind": 3,
            "origin": "committed",
            "reasons": [],
        },
        "candidate_data": data(),
        "baseline_data": data(),
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
        "images": [image()],
        "flips": [flips()],
        **more,
    }


def made(*models, **more) -> Evidence:
    return Evidence.model_validate(evidence(*models, **more))
