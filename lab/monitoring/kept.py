"""`monitor/state.npz`: where a pass stands, whole or absent."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.files import read_bytes, sha256, write_bytes
from lab.base.params import MonitorParams
from lab.monitoring.blocks import Block
from lab.monitoring.watch import Labels, Series, State
from lab.results.monitored import Alarm, Look
from lab.shifts.reference import Reference

VERSION = 1
MOST_BYTES = 2**28
OF_SERVICE = {"service", "answered", "in_time", "seconds"}  # params that records know nothing of
PLAIN = (
    "records", "windows", "other_models", "other_shapes", "start_ms", "end_ms", "judged", "right",
    "unknown", "stride", "shown_predicted",
)  # fmt: skip

Arrays = dict[str, NDArray[Any]]


def key_of(reference: Reference, params: MonitorParams, folder: Path) -> str:
    """Of what a state is; with another key it is of no use."""
    asked = params.model_dump_json(exclude=OF_SERVICE)
    text = f"{VERSION} {reference.sha256} {asked} {folder.resolve()}"
    return sha256(text.encode())


def write(path: Path, state: State, key: str) -> None:
    """Writes a state."""
    arrays: Arrays = {}
    said = {
        "key": key,
        **{name: getattr(state, name) for name in PLAIN},
        "place": list(state.place),
        "points": state.points,
        "alarms": [one.model_dump() for one in state.alarms],
        "series": [_series(one, f"series{k}", arrays) for k, one in enumerate(state.series)],
        "labels": [
            {**vars(one), "newest": one.newest and one.newest.model_dump()} for one in state.labels
        ],
    }
    arrays["said"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    arrays["known"] = np.array([*state.known], np.uint64)
    arrays["known_classes"] = np.array([*state.known.values()], np.int32)
    if state.shown is not None:
        arrays["shown"] = state.shown
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    write_bytes(path, file.getvalue())


def _series(one: Series, name: str, arrays: Arrays) -> dict[str, Any]:
    said: dict[str, Any] = {
        "parts": one.parts,
        "since_ms": one.since_ms,
        "is_explained": one.is_explained,
        "newest": one.newest and one.newest.model_dump(),
    }
    for which in ("filling", "block"):
        block: Block | None = getattr(one, which)
        if block is not None:
            numbers = [block.records, block.start_ms, block.end_ms, block.unlike, block.confident]
            said[which] = numbers
            arrays[f"{name}.{which}.counts"] = block.counts_SB
            arrays[f"{name}.{which}.predicted"] = block.predicted_C
    return said


def read(path: Path, key: str) -> State | None:
    """The state of a key; None where there is none, or it is damaged or of another key."""
    try:
        content = read_bytes(path, MOST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as given:
            arrays = {name: given[name] for name in given.files}
        said = json.loads(bytes(arrays["said"]))
        return _state(said, arrays) if said["key"] == key else None
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    except Exception:  # whatever numpy, zipfile and pydantic raise; it can be made again
        return None


def _state(said: dict[str, Any], arrays: Arrays) -> State:
    number, row = said["place"]
    keys, classes = arrays["known"].tolist(), arrays["known_classes"].tolist()
    return State(
        **{name: said[name] for name in PLAIN},
        place=(str(number), int(row)),
        points=[(int(count), int(time), float(far)) for count, time, far in said["points"]],
        alarms=[Alarm.model_validate(one) for one in said["alarms"]],
        series=[_read_series(one, f"series{k}", arrays) for k, one in enumerate(said["series"])],
        labels=[
            Labels(**{**one, "newest": one["newest"] and Look.model_validate(one["newest"])})
            for one in said["labels"]
        ],
        known=dict(zip(keys, classes, strict=True)),
        shown=arrays.get("shown"),
    )


def _read_series(said: dict[str, Any], name: str, arrays: Arrays) -> Series:
    blocks: dict[str, Block] = {}
    for which in ("filling", "block"):
        if which in said:
            records, start_ms, end_ms, unlike, confident = said[which]
            blocks[which] = Block(
                records=records, start_ms=start_ms, end_ms=end_ms, unlike=unlike,
                confident=confident, counts_SB=arrays[f"{name}.{which}.counts"],
                predicted_C=arrays[f"{name}.{which}.predicted"],
            )  # fmt: skip
    newest = said["newest"] and Look.model_validate(said["newest"])
    return Series(
        filling=blocks.get("filling"), block=blocks.get("block"), newest=newest,
        parts=said["parts"], since_ms=said["since_ms"], is_explained=said["is_explained"],
    )  # fmt: skip
