"""Whether bfloat16 trains as accurate models as float32: `python benchmarks/precision.py`.

Twenty seeds a side of every model of params.yaml, judged as a change would be, with half the usual
margin: 0.05 percentage points.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from lab import params  # noqa: E402
from lab.comparison import ModelDifference, Side, findings  # noqa: E402
from lab.dataset import PREPARED, load_prepared  # noqa: E402
from lab.files import write_json  # noqa: E402
from lab.stacks import cores  # noqa: E402
from lab.training import choose_device, choose_precision, train_model  # noqa: E402

SEEDS, MARGIN = list(range(20)), 0.0005
RESULTS = ROOT / "benchmarks/results/precision.json"


def main() -> None:
    """Trains, compares, writes, prints."""
    tree, device, data = params.load(), choose_device(), load_prepared(PREPARED)
    if choose_precision("bfloat16", device, print) != "bfloat16":
        return
    train = tree.train.model_copy(update={"seeds": SEEDS})
    accuracy: dict[str, dict[str, list[float]]] = {}
    for name, model in tree.models.items():
        for precision in ("bfloat16", "float32"):
            trained = train_model(
                model,
                train,
                data,
                lambda _: None,
                device=device,
                precision=precision,
                workers=cores(),
            )
            accuracy.setdefault(name, {})[precision] = trained.test.accuracy_S.tolist()
    pairs = [
        (Side(SEEDS, sides["bfloat16"]), Side(SEEDS, sides["float32"]))
        for sides in accuracy.values()
    ]
    found = [
        ModelDifference.of(f"{name} in bfloat16", "float32", finding)
        for name, finding in zip(accuracy, findings(pairs, MARGIN), strict=True)
    ]
    write_json(
        RESULTS,
        {
            "margin": MARGIN,
            "seeds": SEEDS,
            "test_accuracy": accuracy,
            "differences": [difference.model_dump() for difference in found],
        },
    )
    for difference in found:
        print(difference.sentence())


if __name__ == "__main__":
    main()
