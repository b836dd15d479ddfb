"""`prepare.py` as a user runs it: a process of its own, a folder of its own."""

import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkouts import Checkout, contents, disk_full_at
from support import SMALL

import prepare
from lab.data import description, splits
from lab.data import prepared as storage

PREPARED_FILES = [
    f"data/prepared/{name}_{kind}.npy" for name in splits.SPLITS for kind in ("inputs", "labels")
]
OUTPUTS = sorted([*PREPARED_FILES, "metrics/dataset.json", "params.yaml"])


@pytest.fixture
def checkout(tmp_path: Path, code: Path) -> Checkout:
    return Checkout(tmp_path / "checkout", code, SMALL)


def test_examples_are_prepared_twice_alike(checkout: Checkout) -> None:
    assert checkout.run() == (
        0,
        "tiny: drawn\n"
        "tiny: 800 examples to train, 200 to validate, 300 to test, in data/prepared\n",
        "",
    )
    assert checkout.files() == OUTPUTS
    before = {path: (checkout.folder / path).read_bytes() for path in OUTPUTS}
    assert checkout.run()[0] == 0
    assert checkout.files() == OUTPUTS
    assert all((checkout.folder / path).read_bytes() == before[path] for path in OUTPUTS)

    loaded = storage.load_prepared(checkout.folder)
    storage.verify(loaded)
    assert loaded.description.test.examples_per_class == [75, 75, 75, 75]
    assert np.asarray(loaded.test.labels[:5]).tolist() == [0, 1, 2, 3, 0]


def test_a_slip_in_params_is_refused_before_anything_is_made(checkout: Checkout) -> None:
    checkout.write_params(checkout.params.replace("name: tiny", "name: tiny\n  tets_seed: 3"))

    assert checkout.refusal() == (
        "params.yaml: dataset.tets_seed: unknown key; got 3; did you mean test_seed?"
    )
    assert checkout.files() == ["params.yaml"]


def test_a_split_that_leaves_nothing_to_train_on_is_refused(checkout: Checkout) -> None:
    checkout.write_params(checkout.params.replace("validation_size: 200", "validation_size: 1000"))

    assert checkout.refusal().startswith("params.yaml: dataset.validation_size: must be from 1 to ")
    assert checkout.files() == ["params.yaml"]


BLOCKED_FOLDERS = ["data", "data/raw", "data/raw/tiny", "data/prepared", "metrics"]


@pytest.mark.parametrize("blocked", BLOCKED_FOLDERS)
def test_a_file_where_a_folder_belongs_is_one_line(checkout: Checkout, blocked: str) -> None:
    path = checkout.folder / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way", encoding="utf-8")

    line = checkout.refusal()

    assert line.startswith(blocked)
    assert line.endswith("remove the file that stands where a folder belongs, then run again")
    assert path.read_text(encoding="utf-8") == "in the way"


def test_a_folder_where_a_file_belongs_is_one_line(checkout: Checkout) -> None:
    (checkout.folder / description.DESCRIPTION).mkdir(parents=True)

    assert checkout.refusal() == (
        "metrics/dataset.json: Is a directory; "
        "remove the folder that stands where a file belongs, then run again"
    )


def test_a_file_size_limit_is_one_line_and_leaves_no_part(checkout: Checkout) -> None:
    # Binds root too, unlike a read-only mode; the training images have 51 kB.
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    assert checkout.refusal(limit) == (
        "data/prepared: File too large; raise the file size limit, then run again"
    )
    assert checkout.files() == ["params.yaml"]
    assert list((checkout.folder / "data/prepared").iterdir()) == []


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="modes do not bind root, and setpriv is not there to give that privilege up",
)
@pytest.mark.parametrize(
    ("folder", "named"),
    [
        (".", "data"),
        ("data/raw", "data/raw/tiny"),
        ("data/prepared", "data/prepared"),
        ("metrics", "metrics/dataset.json"),
    ],
)
def test_a_read_only_folder_is_one_line(checkout: Checkout, folder: str, named: str) -> None:
    path = checkout.folder / folder
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o555)
    try:
        line = checkout.refusal()
    finally:
        path.chmod(0o755)
    assert line == (
        f"{named}: Permission denied; make it accessible (check owner and mode), then run again"
    )


# --- a full disk, at every single write ----------------------------------------------------------


def test_a_full_disk_leaves_whole_files_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = Path("params.yaml")
    params.write_text(SMALL, encoding="utf-8")
    with disk_full_at(-1) as writes:
        prepare.main()
    first = contents(tmp_path)
    assert writes == [6 + 1], "every file is synced: prepared, description"

    params.write_text(SMALL.replace("split_seed: 0", "split_seed: 99"), encoding="utf-8")
    for number in range(7):
        with disk_full_at(number), pytest.raises(OSError, match="No space left") as caught:
            prepare.main()
        assert caught.value.filename == ("data/prepared" if number < 6 else "metrics/dataset.json")
        after = contents(tmp_path)
        arrays = {path: content for path, content in after.items() if "prepared" in path}
        if number < 6:
            assert after == first, "the old split, whole"
        else:
            assert set(arrays) == {path for path in first if "prepared" in path}
            assert (
                arrays["data/prepared/train_inputs.npy"] != first["data/prepared/train_inputs.npy"]
            ), "the new split, whole; its description could not be written"

    prepare.main()
    assert contents(tmp_path).keys() == first.keys()
