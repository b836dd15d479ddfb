"""How many wrong labels stage `labels` finds: `python -m benchmarks.labels [PYTHON]`.

Six hundred labels of training and validation are flipped to another class, the judges of
`check.labels` are trained, and the worst labels are compared with those that were flipped. With a
Python that has cleanlab installed (`uv pip install cleanlab==2.9.0`, in an environment of its own),
its rankings of the same probabilities stand beside. Writes `benchmarks/results/labels.json`.
"""

import json
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import entry
from lab.base import params
from lab.base.errors import ParamsError
from lab.base.script import run_script
from lab.checking import labels
from lab.checking.folds import labels_of, train_judges
from lab.data.prepared import load_prepared
from lab.parallel import processes
from lab.training.stacks import cores

RESULTS = Path("benchmarks/results/labels.json")
FLIPPED = 600
AT = (300, 600, 1_200)
CLEANLAB = """
import json, sys, numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
given = np.load(sys.argv[1])
labels, probabilities = given["labels"], given["probabilities"]
ranks = {}
for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
    ranks[method] = np.argsort(get_label_quality_scores(labels, probabilities, method=method))
ranks["find_label_issues"] = find_label_issues(
    labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
print(json.dumps({name: rows[:1200].tolist() for name, rows in ranks.items()}))
"""


def main() -> None:
    """Flips, trains, compares."""
    arguments = entry.parser()
    arguments.add_argument("python", nargs="?", help="one that has cleanlab")
    python = arguments.parse_args().python
    tree, data = params.load(), load_prepared()
    asked = tree.check.labels
    if asked is None:
        raise ParamsError("params.yaml: check.labels: missing key; add it")
    random, classes = np.random.default_rng(0), len(data.description.class_names)
    train, validation = len(data.train.labels), len(data.validation.labels)
    flipped = random.choice(train + validation, FLIPPED, replace=False)
    given = labels_of(data).copy()
    given[flipped] = (given[flipped] + random.integers(1, classes, FLIPPED)) % classes
    broken = replace(
        data,
        train=replace(data.train, labels=given[:train]),
        validation=replace(data.validation, labels=given[train:]),
    )
    judges, todo = labels.plan(tree, asked)
    started = time.perf_counter()
    done = {stack: train_judges(judges, stack, broken, lambda _: None, has_checkpoints=False)
            for stack in todo}  # fmt: skip
    processes.on_this_machine = lambda *_: iter(done.items())  # type: ignore[assignment]
    pool_NC, _ = labels.probabilities(judges, todo, broken, cores(), lambda *_: None)
    seconds = time.perf_counter() - started
    own = pool_NC[np.arange(len(given)), given]
    found = {"this project": scores(np.argsort(own, kind="stable"), flipped)}
    for name, rows in cleanlab(python, given, pool_NC).items():
        found[f"cleanlab {name}"] = scores(np.array(rows), flipped)
    result = {"flipped": FLIPPED, "of": len(given), "seconds_on_one_core": seconds, "found": found}
    print(json.dumps(result, indent=2))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def scores(order: NDArray[np.intp], flipped: NDArray[np.intp]) -> dict[str, list[float]]:
    """Precision and recall of the first rows of a ranking."""
    hits = [int(np.isin(order[:count], flipped).sum()) for count in AT]
    return {
        "at": [*map(float, AT)],
        "precision": [hit / min(count, len(order)) for hit, count in zip(hits, AT, strict=True)],
        "recall": [hit / len(flipped) for hit in hits],
    }


def cleanlab(
    python: str | None, given: NDArray[np.uint8], pool_NC: NDArray[np.float64]
) -> dict[str, list[int]]:
    """The rankings of cleanlab, if there is a Python that has it."""
    if python is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given.npz"
        np.savez(file, labels=given.astype(np.int64), probabilities=pool_NC)
        command = [python, "-c", CLEANLAB, str(file)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    run_script(main)
