"""Stage `export` as it runs: what it writes, what it says instead, what a kill leaves."""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from repository import Repository
from support import PATIENCE_SECONDS, ROOT, is_one_line, started, tree

import export as script
from lab.base.errors import LabError
from lab.base.files import sha256
from lab.results.exported import Exported
from lab.results.probabilities import TOLERANCE
from lab.serving.network import Network

NAMES = ["ensemble", "model", "model.int8"]


def export(repository: Repository, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> str:
    """`python export.py` within this process, which is quicker; what it prints."""
    monkeypatch.chdir(repository.folder)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            script.export()
        except LabError as error:
            assert code == 2
            return str(error)
    assert code == 0
    return printed.getvalue()


def exported(repository: Repository) -> Exported:
    content = (repository.folder / "metrics/export.json").read_text(encoding="utf-8")
    return Exported.model_validate_json(content)


def files(repository: Repository) -> dict[str, bytes]:
    return tree(repository.folder / "models/export")


def test_the_files_are_those_of_which_the_numbers_are(trained):
    found, contents = exported(trained), files(trained)

    assert sorted(found.forms) == NAMES
    kept = {f"{name}.onnx": form for name, form in found.forms.items() if form.reason is None}
    assert contents.keys() == {*kept, "reference.npz"} > {"model.onnx", "ensemble.onnx"}
    for name, form in kept.items():
        assert (form.sha256, form.bytes) == (sha256(contents[name]), len(contents[name]))
    best = trained.json("models/best/model.json")
    assert (found.model, found.seed) == (best["model"], best["seed"])
    scores = trained.json("metrics/scores.json")["test"][found.model]["accuracy"]
    assert found.trained == scores["mean"] == pytest.approx(found.forms["model"].measured.score)


def test_a_file_alone_gives_what_training_stored_and_says_what_it_is(trained):
    network = Network(trained.folder / "models/export/model.onnx")
    best = trained.json("models/best/model.json")
    folder = trained.folder / "models/runs" / best["model"]
    stored = np.load(folder / "test_probabilities.npy")[best["seed"]]
    inputs = np.load(trained.folder / "data/prepared/test_inputs.npy")
    results = (trained.folder / f"metrics/runs/{best['model']}.json").read_bytes()
    data = trained.json("metrics/dataset.json")

    assert np.abs(network(inputs) - stored).max() < TOLERANCE
    assert network.description["class_names"] == ["north", "east", "south", "west"]
    assert network.description == {key: data[key] for key in network.description}
    assert network.description["framing"] == "fit"
    accuracy = trained.json("metrics/scores.json")["test"][best["model"]]["accuracy"]["per_seed"]
    assert json.loads(network.metadata.pop("metrics")) == {"accuracy": accuracy[best["seed"]]}
    seen = json.loads(network.metadata.pop("reference"))
    brightness = np.load(trained.folder / "data/prepared/train_inputs.npy").mean(axis=(1, 2)) / 255
    assert seen.keys() == {"brightness", "contrast"}
    assert seen["brightness"] == pytest.approx([brightness.min(), brightness.max()])
    assert network.metadata == {
        "model": best["model"],
        "seed": str(best["seed"]),
        "form": "model",
        "dataset": "tiny",
        "train_sha256": data["train"]["sha256"],
        "test_sha256": data["test"]["sha256"],
        "results_sha256": sha256(results),
        "licence": "cc0-1.0",
    }


def test_a_clone_in_a_folder_of_another_name_makes_the_same_bytes(repository, tmp_path):
    """Of dense layers; of a program below."""
    before = files(repository)
    other = repository.copied(tmp_path / "other" / "a longer name")
    shutil.rmtree(other.folder / "models/export")
    (other.folder / "metrics/export.json").unlink()

    assert other.run(sys.executable, "export.py").startswith("model: ")

    assert files(other) == before
    assert (other.folder / "metrics/export.json").read_bytes() == (
        repository.folder / "metrics/export.json"
    ).read_bytes()
    assert_no_path_in(before, repository.folder, other.folder)


def assert_no_path_in(contents: dict[str, bytes], *folders: Path) -> None:
    for folder in (*folders, Path.home(), Path(sys.prefix)):
        for content in contents.values():
            assert str(folder).encode() not in content
    assert not any(b".py" in content for content in contents.values())


CNN = """\
models:
  cnn_2:
    {network: cnn, channels: [2, 3], optimizer: adam, learning_rate: 0.01, schedule: linear,
     weight_decay: 0.0}
compare:"""


def with_models(repository: Repository, models: str) -> None:
    path = repository.folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"models:\n(.*\n)*?compare:", models, text), encoding="utf-8")


@pytest.mark.slow  # shorter: tests/exporting/test_graphs.py
def test_a_program_is_the_same_file_in_every_clone(repository, tmp_path):
    with_models(repository, CNN)
    assert repository.repro() == ["train@cnn_2", "compare", "export", "model_card"]
    before = files(repository)
    assert repository.json("models/best/model.json")["form"] == "program"
    assert {"model.onnx", "ensemble.onnx"} <= before.keys()
    other = repository.copied(tmp_path / "other" / "a longer name")
    shutil.rmtree(other.folder / "models/export")
    (other.folder / "metrics/export.json").unlink()

    said = other.run("python", "export.py")

    assert len(said.splitlines()) == 3, said
    assert files(other) == before
    assert exported(other) == exported(repository)
    assert_no_path_in(before, repository.folder, other.folder)


LOOKS = """
    from torch import nn

    class Network(nn.Module):
        def __init__(self, input_shape: tuple[int, ...], classes: int):
            super().__init__()
            self.scores = nn.Linear(input_shape[0] * input_shape[1], classes)

        def forward(self, inputs):
            sign = 1 if inputs.sum() > -1e9 else -1
            return sign * self.scores(inputs.flatten(1))
"""


@pytest.mark.slow  # shorter: the next
def test_a_network_that_can_be_no_program_fails_no_pipeline(repository):
    path = repository.folder / "task/networks/looks.py"
    path.write_text(textwrap.dedent(LOOKS), encoding="utf-8")
    with_models(repository, CNN.replace("cnn_2", "looks").replace(
        "network: cnn, channels: [2, 3]", "network: looks"))  # fmt: skip

    said = repository.dvc("repro")

    assert "looks: not exported: torch.export cannot follow the network" in said
    assert files(repository) == {}
    assert exported(repository).forms == {}
    assert repository.stale() == []


def edited(repository: Repository, **changes: object) -> None:
    path = repository.folder / "models/best/model.json"
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.unlink()  # a link into DVC's cache
    path.write_text(json.dumps(content), encoding="utf-8")


def test_what_has_no_graph_is_one_line_and_takes_the_old_files_away(repository, monkeypatch):
    edited(repository, form="class", layers=None)

    said = export(repository, monkeypatch)

    assert is_one_line(said.strip())
    assert "not exported: torch.export cannot follow the network" in said
    assert files(repository) == {}
    assert exported(repository).reason in said
    edited(repository, form="program")
    assert "not exported: ONNX has not all that" in export(repository, monkeypatch)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 77}, "models/best: must be of "),
        ({"model": "x" * 500}, "models/best: must be of "),
        ({"form": "pickle"}, "model.json: form: input should be 'layers', 'program' or 'class'"),
        ({"layers": None}, "layers must stand there if the form is layers"),
        ({"layers": {"widths": [0, 4], "activation": "relu"}}, "layers.widths.0: "),
        ({"layers": {"widths": [64, 4], "activation": "exec"}}, "layers.activation: "),
        ("[" * 100_000, "model.json: "),
        (None, "models/best/model.json: no such file"),
    ],
)
def test_a_damaged_model_is_one_line_and_nothing_changes(repository, monkeypatch, change, said):
    before = files(repository), repository.tracked()
    if isinstance(change, dict):
        edited(repository, **change)
    else:
        path = repository.folder / "models/best/model.json"
        path.unlink()
        if change is not None:
            path.write_text(change, encoding="utf-8")

    printed = export(repository, monkeypatch, code=2)

    assert is_one_line(printed.strip())
    assert said in printed
    assert "dvc repro" in printed
    assert (files(repository), repository.tracked()) == before


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("models/runs/MODEL/weights.safetensors", None, "no such file"),
        ("models/runs/MODEL/weights.safetensors", b"\x00" * 50, "damaged"),
        ("models/runs/MODEL/test_probabilities.npy", None, "no such file"),
        ("metrics/comparison.json", b"{}", "field required"),
        ("metrics/runs/MODEL.json", b"[]", "run `dvc repro`"),
        ("metrics/dataset.json", b'{"schema_version": 2}', "run `dvc repro prepare`"),
        ("task/dataset.md", b"no front matter", "must begin with YAML between two lines ---"),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_one_line_and_nothing_changes(
    repository, monkeypatch, path, content, said
):
    file = repository.folder / path.replace("MODEL", exported(repository).model)
    before = files(repository)
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    printed = export(repository, monkeypatch, code=2)

    assert is_one_line(printed.strip())
    assert file.name in printed
    assert said in printed
    assert files(repository) == before


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({"widths": [64, 4, 4, 4], "activation": "relu"}, "not exported: does not run ("),
        ({"widths": [64, 4, 4], "activation": "OTHER"}, "model: not exported: not equivalent to "),
    ],
)
def test_layers_that_training_did_not_train_are_not_exported(repository, monkeypatch, layers, said):
    trained = repository.json("models/best/model.json")["layers"]["activation"]
    other = {"relu": "tanh", "linear": "tanh"}[trained]
    edited(
        repository, layers={**layers, "activation": layers["activation"].replace("OTHER", other)}
    )

    assert said in export(repository, monkeypatch)
    assert files(repository) == {}


def with_comparison(repository: Repository, **changes: object) -> None:
    """As compare.py writes it after such an edit of params.yaml."""
    path = repository.folder / "metrics/comparison.json"
    path.write_text(json.dumps(repository.json("metrics/comparison.json") | changes), "utf-8")


def test_a_margin_that_is_smaller_drops_what_differs(repository, monkeypatch):
    with_comparison(repository, margin=1e-7)
    said = export(repository, monkeypatch)
    form = exported(repository).forms["model.int8"]

    assert exported(repository).margin == 1e-7
    if form.measured.difference.verdict != "equivalent":  # the same score of every seed is that
        assert "model.int8: not exported: not equivalent to what was trained: " in said
    assert ("model.int8.onnx" in files(repository)) == (form.reason is None)


def test_the_score_of_the_task_judges_where_params_name_it(repository, monkeypatch):
    nats = {"name": "log_loss", "unit": "nats", "higher_is_better": False}
    with_comparison(repository, metric=nats)
    said = export(repository, monkeypatch)
    found = exported(repository)

    assert found.metric.name == "log_loss"
    assert found.trained == pytest.approx(
        repository.json("metrics/scores.json")["test"][found.model]["log_loss"]["mean"]
    )
    assert found.forms["model"].measured.score == pytest.approx(found.trained, abs=1e-6)
    assert re.search(r"^model: .+ 0 of 900 predictions differ, log_loss [+-].+ nats, ", said, re.M)


def test_a_score_that_the_task_no_longer_has_is_one_line(repository, monkeypatch):
    with_comparison(repository, metric={"name": "gone", "unit": "%", "higher_is_better": True})

    said = export(repository, monkeypatch, code=2)
    assert "must be a score of task/metrics.py; got gone" in said


def test_a_kill_leaves_whole_files_and_the_next_run_the_same_bytes(repository):
    before, folder = files(repository), repository.folder / "models/export"
    for path in folder.iterdir():
        path.unlink()
    with started(
        sys.executable, "export.py", cwd=repository.folder, env=repository.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        end = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < end and not any(folder.iterdir()):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
    for path in folder.glob("*.onnx"):
        if not path.name.startswith("."):
            onnx.checker.check_model(onnx.load(path))

    repository.run("python", "export.py")

    assert files(repository) == before


def test_the_code_of_the_readme_predicts_with_onnxruntime_and_numpy_alone(trained, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", readme, re.S)
        if "onnxruntime" in block
    ]
    assert len(code.splitlines()) <= 15
    for name in ("models/export", "data/prepared"):
        shutil.copytree(trained.folder / name, tmp_path / name)
    alone = "\nimport sys\nassert not {'torch', 'lab', 'PIL', 'pandas', 'onnx'} & {*sys.modules}\n"

    done = subprocess.run(
        [sys.executable, "-I", "-c", code + alone], cwd=tmp_path, capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip

    inputs = np.load(trained.folder / "data/prepared/test_inputs.npy")[:5]
    found = Network(trained.folder / "models/export/model.onnx")(inputs)
    names = ("north", "east", "south", "west")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{names[row.argmax()]} {row.max():.4f}" for row in found]
