"""`make power`: how many seeds show an effect, worked out from the spreads of a real pipeline."""

import json
import math

import numpy as np
from PIL import Image
from scipy import stats
from support import is_one_line


def test_the_table_asks_as_many_seeds_as_the_formula(repository):
    values = repository.json("metrics/scores.json")["test"]["relu_8"]["accuracy"]["per_seed"]
    deviation = math.sqrt(2) * np.std(values, ddof=1)

    text = repository.run("python", "power.py", "--effect", "0.3")

    cells = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    asked = {row[0].strip("| "): row[cells[0].index("relu_8")] for row in cells}
    shows = [
        (stats.t.ppf(0.975, seeds - 1) + stats.t.ppf(0.8, seeds - 1)) * deviation / math.sqrt(seeds)
        <= 0.3
        for seeds in range(3, 1_000)
    ]
    assert asked["30.00 pp"] == f"{3 + shows.index(True)} seeds"
    with Image.open(repository.folder / "report/power.png") as image:
        assert len(image.convert("RGB").getcolors(2**24)) > 20


def test_two_seeds_have_no_spread(repository):
    found = repository.json("metrics/scores.json")
    found["seeds"] = found["seeds"][:2]
    for of_model in (*found["validation"].values(), *found["test"].values()):
        for spread in of_model.values():
            spread["per_seed"] = spread["per_seed"][:2]
    (repository.folder / "metrics/scores.json").write_text(json.dumps(found), encoding="utf-8")

    said = repository.run("python", "power.py", code=2)

    assert is_one_line(said.strip())
    assert "needs at least 3 seeds; got 2" in said
