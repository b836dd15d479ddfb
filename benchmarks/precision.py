"""Whether bfloat16 trains as accurate models as float32: `python -m benchmarks.precision`.

Twenty seeds a side of every model of params.yaml, judged as a change would be, with half the usual
margin: 0.05 percentage points.
"""

from pathlib import Path

from benchmarks import entry
from benchmarks.pools import tested
from lab.base import params
from lab.base.files import write_json
from lab.data.prepared import load_prepared
from lab.results.comparison import ModelDifference
from lab.training.device import choose_device, choose_precision
from lab.verdict.differences import Sample
from lab.verdict.verdicts import findings

SEEDS, MARGIN = list(range(20)), 0.0005
RESULTS = Path("benchmarks/results/precision.json")


def main() -> None:
    """Trains, compares, writes, prints."""
    tree, data = params.load(), load_prepared()
    if choose_precision("bfloat16", choose_device(), print) != "bfloat16":
        return
    accuracy: dict[str, dict[str, list[float]]] = {}
    for name, model in tree.models.items():
        for precision in ("bfloat16", "float32"):
            train = tree.train.model_copy(update={"seeds": SEEDS, "precision": precision})
            found = tested(name, model, train, data).accuracy_S
            accuracy.setdefault(name, {})[precision] = found.tolist()
    pairs = [
        (Sample(SEEDS, sides["bfloat16"]), Sample(SEEDS, sides["float32"]))
        for sides in accuracy.values()
    ]
    differences = [
        ModelDifference.of(f"{name} in bfloat16", "float32", finding)
        for name, finding in zip(accuracy, findings(pairs, MARGIN), strict=True)
    ]
    write_json(
        RESULTS,
        {
            "margin": MARGIN,
            "seeds": SEEDS,
            "test_accuracy": accuracy,
            "differences": [difference.model_dump() for difference in differences],
        },
    )
    for difference in differences:
        print(difference.sentence("%"))


if __name__ == "__main__":
    entry.run(main)
