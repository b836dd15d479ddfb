"""A model's whole life, with every script: what was learned wears out, is noticed, and is renewed.

Train, export, promote, serve; 5,000 answers are recorded, the last 2,000 to digits that were
turned; the monitor says so; those that somebody labelled become new data, are checked and trained
on; the report compares, and the service that runs all the while answers with the new model.
"""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from loads import load
from repository import Repository
from ruamel.yaml import YAML
from services import Running
from support import RESULTS, ROOT, started, tracked_files

from lab.shifts.corruptions import corruptions
from task.data import idx, sources

USUAL, TURNED = 3_000, 2_000
TURN = "rotated by 30 degrees"
MORE = """\
    train, test = idx.read(sources.fetch(name, raw.parent, say))
    more = [np.load(raw / "more" / f"{part}.npy") for part in ("inputs", "labels")]
    both = zip((train.inputs, train.labels), more, strict=True)
    train = Examples(*(np.concatenate(parts) for parts in both))
"""


def test_a_model_wears_out_is_noticed_and_is_renewed_under_way(
    tmp_path: Path, raw_mnist: Path, empty_store: Path
) -> None:
    repository = cloned(tmp_path / "project", raw_mnist, empty_store)
    folder = repository.folder
    repository.repro()
    repository.commit()
    assert "v1 (relu_16" in repository.run("python", "promote.py")

    usual, turned, labels = asked(raw_mnist)
    log = tmp_path / "log.txt"
    with (
        log.open("w", encoding="utf-8") as file,
        started(
            sys.executable, "serve.py", "--port", "0", "--record", "records",
            "--model", "models/production/model.onnx",
            cwd=folder, env=repository.environment, stdout=file, stderr=file,
        ) as process,
    ):  # fmt: skip
        running = Running(process, log)
        first = running.ask("/model")[1]["sha256"][:12]
        use(running, usual)
        before = use(running, turned, labels)

        said = repository.run("python", "monitor.py", "--records", "records", code=1)
        assert said.startswith("alarm since ")
        assert f"inputs changed ({TURN})" in said
        assert running.metrics()["monitor_alarm"] == 1

        more = "data/raw/MNIST/more"
        said = repository.run("python", "check.py", "--data", "records", "--keep", more)
        assert f"{more}: {TURNED:,} examples with labels" in said
        repository.edit(MORE.splitlines(keepends=True)[0], MORE, "task/data/__init__.py")
        imports = "import numpy as np\n\nfrom lab.data.examples import Dataset, Examples, Scaling\n"
        repository.edit(
            "from lab.data.examples import Dataset, Scaling\n", imports, "task/data/__init__.py"
        )
        repository.repro()
        repository.commit()

        said = repository.run("python", "report.py", "--base", "HEAD~2", "--resolve", "0")
        assert "relu_16" in said
        described = repository.json("report/report.json")["candidate_data"]
        assert described["train"]["examples"] > 0

        with load(running, usual[0].tobytes(), "application/octet-stream", clients=4) as clients:
            clients.wait(20)
            reason = "digits are asked turned by now"
            assert "v2 (relu_16" in repository.run("python", "promote.py", "--accept", reason)
            running.wait_for("now answering: ")
            clients.wait(20)
        assert clients.lost == []
        assert set(clients.statuses) == {200}
        second = running.ask("/model")[1]["sha256"][:12]
        assert [*clients.models] == [first, second] != [first, first]
        assert use(running, turned, labels) > before + 0.05
        assert running.end() == 0
    assert "Traceback" not in running.said()


def cloned(folder: Path, raw: Path, store: Path) -> Repository:
    """This repository with its own task, and models so small that all takes two minutes."""
    for name in tracked_files():
        if not name.startswith(RESULTS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copy(store, folder / "mlflow.db")
    (folder / "data/raw/MNIST").mkdir(parents=True)
    for file in sources.CHECKSUMS["MNIST"]:
        shutil.copy(raw / file, folder / "data/raw/MNIST" / file)
    yaml, file = YAML(), folder / "params.yaml"
    tree = yaml.load(file)
    small = tree["models"]["relu_128"] | {"hidden": [16]}
    tree["models"] = {"relu_16": small, "relu_4": small | {"hidden": [4]}}
    tree["train"] |= {"seeds": [0, 1, 2], "seeds_per_stack": 3, "epochs": 2}
    tree["compare"]["budget"] = 0
    tree["check"]["labels"]["folds"] = 0
    yaml.dump(tree, file)
    repository = Repository(folder)
    repository.run("git", "init", "-q", "-b", "main")
    repository.commit()
    return repository


def asked(raw: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Test digits as they are; training digits, turned; and what these are."""
    files = {name: (raw / name).read_bytes() for name in sources.CHECKSUMS["MNIST"]}
    train, test = idx.read(files)
    random = np.random.default_rng(0)
    rows = random.choice(len(train.inputs), TURNED, replace=False)
    turned = corruptions("grey image", [28, 28])[TURN](train.inputs[rows], random)
    usual = test.inputs[random.choice(len(test.inputs), USUAL, replace=False)]
    return usual, turned, [str(label) for label in train.labels[rows]]


def use(running: Running, inputs: np.ndarray, labels: list[str] | None = None) -> float:
    """Asks of each by itself, and says what it was, if that is known; the share that is right."""
    right = 0
    with contextlib.closing(running.connection()) as connection:

        def post(path: str, body: bytes, kind: str) -> dict:
            connection.request("POST", path, body, {"content-type": kind})
            response = connection.getresponse()
            said = response.read()
            assert response.status in (200, 204), said
            return json.loads(said) if said else {}

        for place, one in enumerate(inputs):
            found = post("/predict", one.tobytes(), "application/octet-stream")["predictions"][0]
            if labels:
                right += found["class"] == labels[place]
                told = json.dumps({"id": found["id"], "label": labels[place]}).encode()
                post("/feedback", told, "application/json")
    return right / len(inputs)
