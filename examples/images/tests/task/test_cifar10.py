"""CIFAR-10 as torchvision unpacks it, from a small archive in its real format."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets as catalogue

from lab.base.errors import SourceError
from lab.base.params import DatasetParams
from lab.data.datasets import load_dataset

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SETTINGS = DatasetParams(name="CIFAR10", validation_size=4, split_seed=0)
FOLDER = "cifar-10-batches-py"


def batch(labels: list[int]) -> bytes:
    """Images whose red, green and blue are the label, 100 and 200; only the top left pixel is 0."""
    data = np.empty((len(labels), 3, 1024), np.uint8)
    data[:, 0], data[:, 1], data[:, 2] = np.array(labels)[:, None], 100, 200
    data[:, :, 0] = 0
    return pickle.dumps({"data": data.reshape(-1, 3072), "labels": labels})


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Where the archive belongs; the checksums and the address are those of a small one."""
    files = {f"data_batch_{k}": batch(list(range(10))) for k in range(1, 6)}
    files |= {"test_batch": batch([3, 1]), "batches.meta": pickle.dumps({"label_names": NAMES})}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    sums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}  # noqa: S324
    whole = catalogue.CIFAR10
    monkeypatch.setattr(whole, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")  # nobody there
    monkeypatch.setattr(whole, "tgz_md5", hashlib.md5(content.getvalue()).hexdigest())  # noqa: S324
    trained = [[name, sums[name]] for name in files if name.startswith("data")]
    monkeypatch.setattr(whole, "train_list", trained)
    monkeypatch.setattr(whole, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(whole, "meta", {**whole.meta, "md5": sums["batches.meta"]})
    monkeypatch.chdir(tmp_path)
    raw = Path("data/raw/CIFAR10")
    raw.mkdir(parents=True)
    (raw / whole.filename).write_bytes(content.getvalue())
    return raw


def test_an_archive_that_is_there_needs_no_network(project):
    found = load_dataset(SETTINGS, print)

    assert found.class_names == NAMES
    assert found.train.inputs.shape == (50, 3, 32, 32)
    assert found.train.labels.tolist() == [*range(10)] * 5
    assert found.test.labels.tolist() == [3, 1]
    assert found.train.inputs[7, :, 5, 5].tolist() == [7, 100, 200]
    assert (found.train.inputs[:, :, 0, 0] == 0).all()


@pytest.mark.parametrize("content", [None, b"not the archive"])
def test_without_archive_and_network_one_line_says_what_to_do(project, content):
    archive = project / catalogue.CIFAR10.filename
    archive.unlink() if content is None else archive.write_bytes(content)

    with pytest.raises(SourceError) as caught:
        load_dataset(SETTINGS, print)

    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("data/raw/CIFAR10: CIFAR-10 must come from http://127.0.0.1:9/")
    assert "Connection refused" in said
    assert said.endswith("put cifar-10-python.tar.gz there by hand")


def test_a_batch_that_was_changed_is_unpacked_anew_and_never_unpickled(project):
    load_dataset(SETTINGS, print)
    (project / FOLDER / "test_batch").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")

    assert load_dataset(SETTINGS, print).test.labels.tolist() == [3, 1]
