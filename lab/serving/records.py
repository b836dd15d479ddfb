"""What was asked and answered, kept for monitoring: off by default, no addresses, bounded.

A record is copied into a journal before its answer leaves: a file that lies in memory, whose pages
the operating system keeps when the process is killed. So no record of an answer is lost, and no
answer waits for a disk. A thread lays out the next journal, and a process of its own makes Parquet
files of full ones; where that comes too late, records are dropped and counted. The oldest files go
when all are too large together.

`python -m lab.serving.records FOLDER BYTES` is that process.
"""

import contextlib
import itertools
import json
import mmap
import os
import queue
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError
from lab.base.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

JOURNAL_BYTES = 2**23  # before it becomes a Parquet file
ROWS = 1_024  # of a batch that is read
RETRY_SECONDS = 5.0  # between tries to lay out a journal on a full disk
CLOSE_SECONDS = 60.0  # for the last Parquet file
CURRENT, FULL, DONE = ".journal", ".full", ".parquet"  # a file's suffixes, in this order
LOCK = ".lock"

_HEAD = struct.Struct("<IIII")  # lengths: JSON, input, probabilities; checksum of all three
_COLUMNS = {
    "time_ms": "int64", "id": "string", "model": "string", "predicted": "string",
    "probability": "float", "label": "string", "dtype": "string", "shape": "list",
    "input": "binary", "probabilities": "binary",
}  # fmt: skip


class _Journal:
    """A file of fixed size in memory, filled from its start."""

    def __init__(self, path: Path) -> None:
        """Lays it out.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        self.path, self.used = path, 0
        try:
            with path.open("xb+") as file:
                file.write(bytes(JOURNAL_BYTES))  # now, for later a full disk would be a signal
                file.flush()
                self._memory = mmap.mmap(file.fileno(), JOURNAL_BYTES)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def add(self, packed: bytes) -> bool:
        """Whether there was room."""
        end = self.used + len(packed)
        if end > JOURNAL_BYTES:
            return False
        self._memory[self.used : end] = packed
        self.used = end
        return True

    def end(self) -> None:
        """Gives it to who makes Parquet of it."""
        self._memory.close()
        if not self.used:
            self.path.unlink(missing_ok=True)
            return
        os.truncate(self.path, self.used)
        self.path.replace(self.path.with_suffix(FULL))


class Recorder:
    """Keeps records in a folder that no other service uses.

    Args:
        folder: of all.
        most_bytes: of the folder; the oldest records go first.

    Attributes:
        dropped: records that could not be kept.

    Raises:
        DataError: another service records there.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.dropped = folder, 0
        self._most_bytes = most_bytes - 2 * JOURNAL_BYTES  # of Parquet; two journals lie in memory
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")  # what users sent
        for left in folder.glob(f"*{CURRENT}"):  # of a process that was killed
            left.replace(left.with_suffix(FULL))
        numbers = [int(path.stem) for path in folder.iterdir() if path.stem.isdigit()]
        self._numbers = itertools.count(max(numbers, default=0) + 1)
        self._journal: _Journal | None = self._laid_out()
        self._next: queue.Queue[_Journal] = queue.Queue()
        self._ended: queue.Queue[_Journal | None] = queue.Queue()
        self._converter: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="records", daemon=True)
        self._keeper.start()

    def answered(
        self,
        identities: Sequence[str],
        model: str,
        class_names: Sequence[str],
        probabilities_NC: NDArray[np.float32],
        inputs: NDArray[Any],
    ) -> bool:
        """Keeps inputs [N, ...] with their answers; whether all were."""
        now, labels_N = time.time_ns() // 1_000_000, probabilities_NC.argmax(axis=1).tolist()
        form = {"dtype": inputs.dtype.name, "shape": list(inputs.shape[1:])}
        are_kept = True
        for row, identity in enumerate(identities):
            label = labels_N[row]
            said = {
                "time_ms": now, "id": identity, "model": model, "predicted": class_names[label],
                "probability": float(probabilities_NC[row, label]), **form,
            }  # fmt: skip
            are_kept &= self._add(said, inputs[row].tobytes(), probabilities_NC[row].tobytes())
        return are_kept

    def labelled(self, identity: str, label: str) -> bool:
        """Keeps what somebody says an input was; whether it was."""
        now = time.time_ns() // 1_000_000
        return self._add({"time_ms": now, "id": identity, "label": label}, b"", b"")

    def _add(self, said: dict[str, Any], given: bytes, probabilities: bytes) -> bool:
        head = json.dumps(said, separators=(",", ":")).encode()
        content = head + given + probabilities
        lengths = len(head), len(given), len(probabilities)
        packed = _HEAD.pack(*lengths, zlib.crc32(content)) + content
        while self._journal is None or not self._journal.add(packed):
            if len(packed) > JOURNAL_BYTES or not self._change():
                self.dropped += 1
                return False
        return True

    def _change(self) -> bool:
        """Goes on to the next journal, if it lies ready."""
        try:
            following = self._next.get_nowait()
        except queue.Empty:
            return False
        if self._journal is not None:
            self._ended.put(self._journal)
        self._journal = following
        return True

    def close(self) -> None:
        """Makes Parquet of the last journal, too."""
        self._ended.put(None)
        self._keeper.join(CLOSE_SECONDS)
        for journal in (self._journal, *self._left()):
            if journal is not None:
                with contextlib.suppress(OSError):
                    journal.end()
        self._journal = None
        for _ in range(2):  # one that runs may have looked before the last journal was there
            self._convert()
            if self._converter is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._converter.wait(CLOSE_SECONDS)
        self._lock.close()

    def _left(self) -> Iterator[_Journal]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._next.get_nowait()

    def _laid_out(self) -> _Journal:
        return _Journal(self.folder / f"{next(self._numbers):08}{CURRENT}")

    def _keep(self) -> None:
        """The thread: has a journal ready, and has full ones turned."""
        has_room = True
        self._convert()
        while True:
            try:
                if self._next.empty():
                    self._next.put(self._laid_out())
                has_room = True
            except OSError as error:
                if has_room:
                    print(f"{self.folder}: records will be dropped: {error.strerror}", flush=True)
                has_room = False
            try:
                ended = self._ended.get(timeout=None if has_room else RETRY_SECONDS)
            except queue.Empty:
                continue
            if ended is None:
                return
            with contextlib.suppress(OSError):
                ended.end()
            self._convert()

    def _convert(self) -> None:
        """Starts the process that makes Parquet, unless it runs: its imports take 60 MB."""
        if self._converter is not None and self._converter.poll() is None:
            return
        if not any(self.folder.glob(f"*{FULL}")):
            return
        command = [sys.executable, "-m", "lab.serving.records"]
        self._converter = subprocess.Popen(
            [*command, str(self.folder.resolve()), str(self._most_bytes)],
            cwd=Path(__file__).parents[2], start_new_session=True,
        )  # fmt: skip


def _locked(folder: Path) -> Any:
    file = (folder / LOCK).open("ab")
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise DataError(
            f"{folder}: must be a folder that no other service records in; got one that does; "
            "name another"
        ) from None
    return file


# --- reading --------------------------------------------------------------------------------------


def are_in(folder: Path) -> bool:
    """Whether a service records, or recorded, in this folder."""
    suffixes = CURRENT, FULL, DONE
    return any(path.stem.isdigit() and path.suffix in suffixes for path in folder.iterdir())


def read(folder: Path) -> Iterator["pa.RecordBatch"]:
    """The records of a folder, oldest first, some of them at a time; a service may go on writing.

    Columns: `time_ms` since 1970, `id`, `model` (SHA-256, its beginning), `predicted`,
    `probability`, `dtype`, `shape` and `input` (of one example: `np.frombuffer(input,
    dtype).reshape(shape)`), `probabilities` (float32, in the order of the model's classes). A row
    of feedback has `time_ms`, the `id` of what was answered, and `label`; all else is null.

    Raises:
        DataError: it is no folder, or a file is damaged.
    """
    for _, batch in read_from(folder):
        yield batch


Place = tuple[str, int]  # a file's number, and a row in it
START: Place = ("", 0)


def read_from(folder: Path, start: Place = START) -> Iterator[tuple[Place, "pa.RecordBatch"]]:
    """As `read`, from a place on, each with the place of its first row.

    A place stays the same while a journal grows and becomes Parquet. Where its file is gone by now,
    the next one there goes on; a folder that was emptied since is read from its start.

    Raises:
        DataError: it is no folder, or a file is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: must be a folder of records; got none; name another one")
    numbers = sorted({path.stem for path in folder.iterdir() if path.stem.isdigit()})
    if numbers and numbers[-1] < start[0]:
        start = START
    for number in numbers:
        if number < start[0]:
            continue
        skipped = start[1] if number == start[0] else 0
        for suffix in (CURRENT, FULL, DONE):  # whichever it is by now
            try:
                yield from _placed(number, skipped, (folder / number).with_suffix(suffix))
                break
            except FileNotFoundError:
                continue


def _placed(number: str, skipped: int, path: Path) -> Iterator[tuple[Place, "pa.RecordBatch"]]:
    row = 0
    for batch in _batches(path):
        end = row + batch.num_rows
        if end > skipped:
            first = max(row, skipped)
            yield (number, first), batch.slice(first - row)
        row = end


def _batches(path: Path) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa  # 0.2 s, and the service does without
    from pyarrow import parquet

    if path.suffix == DONE:
        try:
            with parquet.ParquetFile(path) as file:
                yield from file.iter_batches(ROWS)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"{path}: must be a whole Parquet file; got {reason}; remove it"
            ) from None
        return
    rows = journal_rows(path.read_bytes())
    while some := list(itertools.islice(rows, ROWS)):
        yield pa.RecordBatch.from_pylist(some, schema())


def schema() -> "pa.Schema":
    """Of the Parquet files."""
    import pyarrow as pa

    types = {"list": pa.list_(pa.int32())}
    return pa.schema(
        [(name, types.get(kind) or pa.type_for_alias(kind)) for name, kind in _COLUMNS.items()]
    )


def journal_rows(content: bytes) -> Iterator[dict[str, Any]]:
    """The whole records of a journal; one that was cut off ends it."""
    place = 0
    while place + _HEAD.size <= len(content):
        head, given, probabilities, checksum = _HEAD.unpack_from(content, place)
        start = place + _HEAD.size
        place = start + head + given + probabilities
        packed = content[start:place]
        if not head or place > len(content) or zlib.crc32(packed) != checksum:
            return
        row = json.loads(packed[:head])
        if given:
            row["input"] = packed[head : head + given]
            row["probabilities"] = packed[head + given :]
        yield row


# --- the process that makes Parquet ---------------------------------------------------------------


def convert(folder: Path, most_bytes: int) -> None:
    """Makes Parquet files of full journals, and removes the oldest files beyond `most_bytes`."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        for journal in sorted(folder.glob(f"*{FULL}")):
            rows = list(journal_rows(journal.read_bytes()))
            if rows:
                with replacing(journal.with_suffix(DONE)) as temporary:
                    table = pa.Table.from_pylist(rows, schema())
                    parquet.write_table(table, temporary, compression="zstd")
            journal.unlink(missing_ok=True)
    finally:
        _bound(folder, most_bytes)


def _bound(folder: Path, most_bytes: int) -> None:
    kept = sorted([*folder.glob(f"*{DONE}"), *folder.glob(f"*{FULL}")])
    sizes = [path.stat().st_size for path in kept]
    while kept and sum(sizes) > most_bytes:
        kept.pop(0).unlink(missing_ok=True)
        sizes.pop(0)


if __name__ == "__main__":
    with contextlib.suppress(AttributeError):
        os.nice(10)  # answers come first
    try:
        convert(Path(sys.argv[1]), int(sys.argv[2]))
    except OSError as error:  # the journals stay, and can be read as they are
        sys.exit(f"records.py: {error.filename}: {error.strerror}; free some space")
