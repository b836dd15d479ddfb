"""Hostile files for every reader of the project, each made from a kind and a number.

`python inputs.py KIND FIRST COUNT`, in an empty folder, reads that many of them one after the other
with the project's own readers, and prints what became of them as one line of JSON.
"""

import base64
import contextlib
import copy
import functools
import io
import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from evidences import evidence, model, side
from made_data import CLASSES, PIXELS, images, parts, prepared
from support import SMALL, TINY

import compare
from lab.base import params
from lab.base.dvc import Cache
from lab.base.errors import LabError
from lab.base.files import sha256
from lab.base.stages import Stage, read_stages
from lab.ci import artifact
from lab.data import description, splits
from lab.data import prepared as storage
from lab.data.description import DESCRIPTION
from lab.data.prepared import PREPARED
from lab.evidence import flips, revision_results, snapshots
from lab.evidence import schema as evidence_file
from lab.evidence.changes import change_entry, value_changes
from lab.evidence.snapshots import WorkingTree, model_params, pins
from lab.evidence.staleness import stage_changes, staleness
from lab.results import predictions, probabilities, scores, weights
from lab.results.cost import COSTS
from lab.results.schema import ACCURACY
from lab.results.storage import CURVES, MODEL_RESULTS, TRAINED
from lab.training.outcome import Epoch, Evaluation, Trained
from lab.training.scoring import write_trained

SECONDS = 10  # of computing; this machine may be busy with other things, too
WAITING_SECONDS = 60
BYTES = 2 * 2**30
ADDRESS_SPACE = 12 * 2**30  # so that what asks for all memory fails instead of swapping
LONGEST_MESSAGE = 2_000
SEEDS = (0, 1, 2)
MODEL = "relu_8"
OTHER = "linear_4"

Chance = random.Random


# --- spoiling ------------------------------------------------------------------------------------

TEXTS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\x1b[31m", b"\x85", b"\xe2\x80\xa8",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xf0\x9f\x98\x80", "\u202e".encode(), b"\t",
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5_000, b"-1", b"null", b"true",
    b"[" * 3_000, b'{"a":' * 3_000, b"0x" + b"f" * 6_000, b"../../../../tmp/escaped", b"/etc/passwd",
    b"%s%n{}{0.__class__}${a.b}", b"x" * 20_000, b'"\\ud800"', b"'", b'"', b",", b":", b"|", b"#",
]  # fmt: skip


def corrupted(chance: Chance, content: bytes) -> bytes:
    """Some bytes with one to four of the usual damages."""
    data = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(data) + 1)
        length = chance.choice([1, 1, 2, 4, 8, 64, 1_000])
        match chance.randrange(8):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length] * chance.choice([1, 2, 50])
            case 3:
                data[at:at] = chance.randbytes(length)
            case 4:
                data[at:at] = chance.choice(TEXTS)
            case 5:
                data[at : at + length] = chance.choice(TEXTS)
            case 6:
                number = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
                data[at : at + 8] = struct.pack(chance.choice(["<Q", ">Q"]), number)
            case _:
                del data[at:]
    return bytes(data)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a tree."""
    found = [at] if at else []
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            found += places(value, (*at, key))
    return found


NUMBERS = [
    0,
    -1,
    1,
    2,
    9,
    10,
    255,
    256,
    2**31,
    2**53,
    2**63,
    2**64,
    10**30,
    0.5,
    -0.0,
    1e-320,
    1e308,
]
VALUES = [
    None, True, "", "x", "9", [], {}, [[]], [None], [0] * 100, {"a": 1}, "\u0000", "\ud800", "x" * 9_000,
    "..", "../../escaped", "/tmp/escaped", "-rf", float("nan"), float("inf"), 10**4_000,
]  # fmt: skip


def changed(chance: Chance, tree: Any) -> Any:
    """A tree with one to three of its entries replaced, removed, repeated or added."""
    tree = json.loads(json.dumps(tree))
    for _ in range(chance.choice([1, 1, 2, 3])):
        place = chance.choice(places(tree) or [()])
        if not place:
            return chance.choice(VALUES)
        owner = tree
        for step in place[:-1]:
            owner = owner[step]
        key = place[-1]
        match chance.randrange(6):
            case 0:
                del owner[key]
            case 1 if isinstance(owner, list):
                owner += owner * chance.choice([1, 3])
            case 1:
                owner[chance.choice(["x", "", "-x", "a.b", "..", "x" * 99, key + " "])] = owner[key]
            case 2 if isinstance(owner[key], float):
                owner[key] *= chance.choice([-1, 0.5, 2, 1e9, 1e300])
            case 2 | 3:
                owner[key] = chance.choice(NUMBERS)
            case _:
                owner[key] = copy.deepcopy(chance.choice(VALUES))
    return tree


def json_bytes(chance: Chance, tree: Any) -> bytes:
    """A tree as JSON, now and then of a kind that Python's own reader would take."""
    content = json.dumps(tree, ensure_ascii=chance.random() < 0.9).encode(errors="surrogatepass")
    if chance.random() < 0.1:
        content = content.replace(b"{", b'{"schema_version": 1, "seeds": [], ', 1)  # keys twice
    if chance.random() < 0.1:
        content = b"[" * chance.choice([10, 500, 100_000]) + content
    return corrupted(chance, content) if chance.random() < 0.2 else content


def json_corrupted(chance: Chance, content: bytes) -> bytes:
    if chance.random() < 0.4:
        return corrupted(chance, content)
    return json_bytes(chance, changed(chance, json.loads(content)))


# --- params.yaml and the pipeline ----------------------------------------------------------------

SNIPPETS = [
    "!!python/object/apply:os.system ['touch escaped']", "!!python/name:os.system", "!!python/tuple [1]",
    "!!python/object:lab.base.params.Params {}", "!!int x", "!!int ''", "!!float x", "!!bool x", "!!null x",
    "!!timestamp x", "!!timestamp 2001-99-99", "2001-99-99", "2001-12-14", "2001-12-14t21:59:43.10-99:99",
    "!!binary '!'", "!!binary '\u00e9'", "!!omap x", "!!omap [1]", "!!omap [{a: 1, b: 2}]", "!!pairs [1]",
    "!!set [1]", "!!set {a, a}", "!!map 1", "!!seq 1", "!!str {}", "!!merge x", "!<tag:x> 1", "!x 1", "! 1",
    "&a [*a]", "&a 1", "*a", "*unknown", "{<<: 3}", "{<<: [1]}", "{<<: {epochs: 2}}", "{[1]: 2}",
    "{{a: 1}: 2}", "{1: 2}", "{null: 1}", "{1.5: 1}", "{true: 1}", "? [a]\n: b", "{? {a: 1} : 2}",
    ".nan", ".inf", "-.inf", "1e999", "-1e999", "1_000", "0x10", "0o17", "0b11", "1:30", "0x" + "f" * 5_000,
    "9" * 5_000, "-" + "9" * 4_000, "1e" + "9" * 5_000, "1_" * 9_000 + "1", "1:" * 3_000 + "1",
    "0b" + "1" * 20_000, "0o" + "7" * 9_000, "0x", "0b", "0o", "-0x_", "+", "-", ".", "1.", "._", "=", "<<",
    "[" * 3_000, "{a: " * 3_000, "[" * 200 + "]" * 200, "- " * 500, "? " * 500, "!!str " * 200, '"\\ud800"',
    '"\\U00110000"', '"\\x00"', "'\u2028'", "\u0085", "|\n x", ">9\n x", "|-\n", "@x", "`x", "%x", "a: b: c",
    "x" * 30_000, "\u202eabc", "\ufeff", "'" + "\u0301" * 500 + "'", "yes", "~", "''", "[]", "{}", "[1, 1]",
    "[0, 0.0]", "[true, 1]", "[-1]", "[2147483648]", "[" + "1, " * 2_000 + "1]", "..", "/tmp/escaped",
    "--- 1", "... 1", "%YAML 9.9", "%TAG ! tag:x,2000:", "# x", "\t1", "\r", "1 # x", "[1, ]", "[,]", "{,}",
    "${models}", "${models.relu_8}", "${a", "${}", "${" * 500, "python train.py ${key.x}",
]  # fmt: skip


def yaml_spoilt(chance: Chance, content: bytes) -> bytes:
    """YAML with hostile values and keys in it; now and then all of it is something else."""
    text = content.decode()
    kind = chance.random()
    if kind < 0.25:
        return corrupted(chance, content)
    if kind < 0.27:
        unit = chance.choice(
            [*SNIPPETS[-12:], "[", "{a: ", "- ", "? ", "a:\n ", "k: 1\n", "#", "\n", "'x'"]
        )
        return (unit * (chance.choice([10_000, 100_000, 400_000, 900_000]) // len(unit))).encode()
    if kind < 0.29:
        bomb = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
        return ("\n".join(bomb) + "\n" + text).encode()
    for _ in range(chance.choice([1, 1, 2, 3])):
        lines = text.split("\n")
        number = chance.randrange(len(lines))
        line, snippet = lines[number], chance.choice(SNIPPETS)
        key, separator, _ = line.partition(":")
        match chance.randrange(7):
            case 0:
                lines[number] = f"{line[: len(line) - len(line.lstrip())]}{snippet}: 1"
            case 1:
                lines.insert(number, line)  # a key twice
            case 2:
                lines.insert(number, f"{line[: len(line) - len(line.lstrip())]}{snippet}")
            case 3:
                lines[number] = chance.choice([" ", "\t", "    "]) + line
            case _ if separator:
                lines[number] = f"{key}: {snippet}"
            case _:
                lines[number] = snippet
        text = "\n".join(lines)
    if chance.random() < 0.05:
        text = chance.choice(
            ["\ufeff" + text, text.replace("\n", "\r\n"), text.replace("\n", "\r")]
        )
    return text.encode(chance.choice(["utf-8"] * 9 + ["utf-16"]), errors="surrogatepass")


def make_params(chance: Chance) -> None:
    Path("params.yaml").write_bytes(yaml_spoilt(chance, VALID["params.yaml"]))


def read_params() -> None:
    params.load()


def make_pipeline(chance: Chance) -> None:
    names = ["params.yaml", "dvc.lock", "dvc.lock", "dvc.yaml", "requirements.txt", ".dvc/config"]
    name = chance.choice(names)
    Path(name).write_bytes(
        yaml_spoilt(chance, VALID[name])
        if name.endswith((".yaml", ".lock")) else corrupted(chance, VALID[name])
    )  # fmt: skip


def read_revision() -> None:
    """What a report reads of a revision's pipeline, as a baseline and as a candidate."""
    here = WorkingTree(Path())
    old, before = baseline()
    model_params(here)
    new = snapshots.read_yaml(here, "params.yaml")
    for change in value_changes(old, new) + value_changes(new, old):
        change_entry(*change)
    pins(here)
    after = read_stages(Path())
    staleness(Path(), after)
    for name, stage in after.items():
        stage_changes(before.get(name), stage)
    cache = Cache(Path())
    for stage in after.values():
        for tracked in stage.outputs.values():
            cache.file(tracked.recorded or "", "predictions.npz")


@functools.cache
def baseline() -> tuple[Any, Mapping[str, Stage]]:
    valid = Path("valid")
    return snapshots.read_yaml(WorkingTree(valid), "params.yaml"), read_stages(valid)


@functools.lru_cache(maxsize=16)
def parsed(content: bytes, where: str, limit: int) -> Any:
    return params.read_yaml(content, where, limit)


def parsed_once(content: bytes, where: str, limit: int) -> Any:
    """The reader of YAML, which takes 40 ms for a valid `dvc.lock`: the same bytes are read once.

    Every reader gets a tree of its own, and what is refused is refused each time.
    """
    return copy.deepcopy(parsed(content, where, limit))


# --- prepared arrays -----------------------------------------------------------------------------

NPY_HEADERS = [
    "{'descr': '|O', 'fortran_order': False, 'shape': (60,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 20, 7), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 20, 7), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 2), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 20, 7), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (60, 20, 7), }",
    "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (60,), }",
    "{'descr': ('|u1', (2**70,)), 'fortran_order': False, 'shape': (60,), }",
    "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '|u1', 'fortran_order': 1, 'shape': (60, 20, 7), }",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (60, 20, 7), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': " + "(" * 300 + ")" * 300 + ", }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5_000 + ",), }",
    "__import__('os').system('touch escaped')",
    "{**{'descr': '|u1'}, 'fortran_order': False, 'shape': (60, 20, 7)}",
    "[]", "", "{", "{'descr': '|u1'}", "x" * 9_990, "-" * 9_000 + "1", "\x00", "1 if 1 else 2",
]  # fmt: skip


def npy(chance: Chance, body: bytes) -> bytes:
    """A .npy file whose header says something else than what follows."""
    header = chance.choice(NPY_HEADERS)
    if "%d" in header:
        header = header % chance.choice([0, 1, 61, 10**6, 10**10, 2**62, 2**63, 10**30])
    encoded = header.encode("latin-1", errors="replace") + b"\n"
    version = chance.choice([1, 1, 1, 2, 3, 9])
    length = chance.choice([len(encoded)] * 6 + [0, 2**16 - 1, 2**32 - 1, len(encoded) + 5])
    length &= 0xFFFF if version == 1 else 0xFFFFFFFF
    packed = struct.pack("<H" if version == 1 else "<I", length)
    return b"\x93NUMPY" + bytes([version, 0]) + packed + encoded + body


def make_prepared(chance: Chance) -> None:
    name = f"{PREPARED}/{chance.choice(splits.SPLITS)}_{chance.choice(['inputs', 'labels'])}.npy"
    content = VALID[name]
    Path(name).write_bytes(
        corrupted(chance, content) if chance.random() < 0.5 else npy(chance, content[128:])
    )


def read_prepared() -> None:
    storage.verify(storage.load_prepared())


# --- results -------------------------------------------------------------------------------------


def make_weights(chance: Chance) -> None:
    name = f"{TRAINED}/{MODEL}/weights.safetensors"
    content = VALID[name]
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    if chance.random() < 0.3:
        Path(name).write_bytes(corrupted(chance, content))
        return
    tensor = header[chance.choice([key for key in header if key != "__metadata__"])]
    match chance.randrange(6):
        case 0:
            tensor["shape"] = chance.choice([[-1], [2**40, 2**40], [], [0], [2**63], ["x"], "x"])
        case 1:
            tensor["data_offsets"] = chance.choice(
                [[0, 2**62], [-4, 4], [4, 0], [0, 4], [2**64, 2**65], [0], [], "x"]
            )
        case 2:
            tensor["dtype"] = chance.choice(["F64", "BF16", "F8_E4M3", "BOOL", "O", "x", "", 3])
        case 3:
            header["__metadata__"] = chance.choice(
                [
                    {},
                    {"seeds": "[" * 5_000},
                    {"seeds": "{}"},
                    {"seeds": "3"},
                    {"seeds": "[7]"},
                    None,
                ]
            )
        case 4:
            header = changed(chance, header)
        case _:
            header[chance.choice(["x", "../../escaped", "\ud800", "0.weight "])] = tensor
            del header[chance.choice([key for key in header if key != "__metadata__"])]
    text = json.dumps(header).encode(errors="surrogatepass")
    claimed = chance.choice([len(text)] * 8 + [0, 2**31, 2**63, 2**64 - 1])
    Path(name).write_bytes(struct.pack("<Q", claimed) + text + body)


def read_weights() -> None:
    weights.read_seed(MODEL, SEEDS[1])


def make_predictions(chance: Chance) -> None:
    name = f"{TRAINED}/{MODEL}/predictions.npz"
    Path("dvc.lock").write_bytes(b"")  # takes long to read
    if chance.random() < 0.3:
        Path(name).write_bytes(corrupted(chance, VALID[name]))
        return
    with zipfile.ZipFile(io.BytesIO(VALID[name])) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    victim = chance.choice(list(members))
    match chance.randrange(6):
        case 0:
            members[victim] = npy(chance, members[victim][128:])
        case 1:
            members[victim] = corrupted(chance, members[victim])
        case 2:
            members[chance.choice(["../../escaped.npy", "/tmp/escaped.npy", "x", "."])] = b"x"
        case 3:
            members[victim] = b"\x80\x04cos\nsystem\n(S'touch escaped'\ntR."
        case 4:
            del members[victim]
        case _:
            shape = chance.choice([(0, 40), (3, 0), (1, 40), (3, 39), (3, 41), (2, 40), (120,)])
            kind = chance.choice(["<i8", "|u1", "<f4", ">i8", "<f8", "<U4"])
            file = io.BytesIO()
            np.save(file, np.full(shape, chance.choice([0, 9, 10, 200])).astype(kind))
            members[victim] = file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    content = file.getvalue()
    if chance.random() < 0.2:  # sizes and counts of the zip's own headers
        at = content.rfind(b"PK\x01\x02") + chance.randrange(8, 46)
        content = content[:at] + chance.randbytes(4) + content[at + 4 :]
    Path(name).write_bytes(content)


def read_predictions() -> None:
    path = TRAINED / MODEL / "predictions.npz"
    data = storage.load_prepared()
    examples = len(data.test.labels)
    with both(lambda: compare.predictions_of(MODEL, SEEDS, examples, CLASSES)):
        found = revision_results.read_results(WorkingTree(Path()), {})
        flips.predictions(found, MODEL, data, Cache(Path()), "candidate")
        flips.majority(predictions.read_predictions(path, CLASSES).predictions)


def make_probabilities(chance: Chance) -> None:
    name = str(probabilities.path_of(MODEL, "test"))
    Path("dvc.lock").write_bytes(b"")  # takes long to read
    match chance.randrange(3):
        case 0:
            Path(name).write_bytes(corrupted(chance, VALID[name]))
        case 1:
            Path(name).write_bytes(npy(chance, VALID[name][128:]))
        case _:
            shape = chance.choice([(0, 40, 10), (3, 40, 0), (3, 39, 10), (2, 40, 10), (3, 40), ()])
            kind = chance.choice(["<f4", ">f4", "<f8", "|u1", "<U4"])
            value = chance.choice([0.5, np.nan, -1, 2, np.inf])
            with np.errstate(invalid="ignore"):
                np.save(name, np.full(shape, value).astype(kind))


def read_probabilities() -> None:
    labels = storage.load_prepared().test.labels
    path = probabilities.path_of(MODEL, "test")
    given = scores.Scored(probabilities.read(path, SEEDS, len(labels)), labels)
    scores.spreads(scores.own_metrics(), MODEL, SEEDS, given)


def make_results(chance: Chance) -> None:
    run = f"{MODEL_RESULTS}/{MODEL}.json"
    cost = next(name for name in VALID if name.startswith(COSTS.as_posix()))
    name = chance.choice([run, run, run, str(DESCRIPTION), f"{CURVES}/{MODEL}.csv", cost])
    Path("dvc.lock").write_bytes(b"")  # takes long to read
    corrupt = corrupted if name.endswith(".csv") else json_corrupted
    Path(name).write_bytes(corrupt(chance, VALID[name]))


def read_results() -> None:
    def compared() -> None:
        tree = params.parse(VALID["params.yaml"], "params.yaml")
        tree = tree.model_copy(
            update={"train": tree.train.model_copy(update={"seeds": list(SEEDS)})}
        )
        trained = {name: compare.read_results(name, tree) for name in tree.models}
        table = compare.score_table(trained, [], storage.load_prepared())
        right_KN = dict.fromkeys(tree.models, np.ones((len(SEEDS), 40), bool))
        found = compare.compare(table, ACCURACY, tree.compare.margin, right_KN)
        compare.write_metrics(table, found)
        for difference in found.differences:
            difference.sentence("%")
        description.read_description(DESCRIPTION)

    with both(compared):
        revision_results.read_results(WorkingTree(Path()), {})


def make_cache(chance: Chance) -> None:
    entries = [{"md5": "a" * 32, "relpath": "predictions.npz"}, {"md5": "b" * 32, "relpath": "x"}]
    path = Path(".dvc/cache/files/md5/dd/d.dir")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json_corrupted(chance, json.dumps(entries).encode()))


def read_cache() -> None:
    Cache(Path()).file("ddd.dir", "predictions.npz")


# --- what a pull request leaves behind -----------------------------------------------------------


def make_artifact(chance: Chance) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(
        file, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    ) as zipped:
        content = chance.choice(
            [b"{}", b"[" * 100_000, b"0" * 30_000_000, base64.b64encode(b"x" * 900)]
        )
        zipped.writestr(
            chance.choice(["report.json"] * 8 + ["../report.json", "/report.json"]), content
        )
    Path("report.zip").write_bytes(
        corrupted(chance, file.getvalue()) if chance.random() < 0.8 else file.getvalue()
    )


def read_artifact() -> None:
    evidence_file.parse(artifact.json_member(Path("report.zip").read_bytes())[1], "report.json")


KINDS: dict[str, tuple[Callable[[Chance], None], Callable[[], None]]] = {
    "params.yaml": (make_params, read_params),
    "dvc.lock, dvc.yaml, requirements": (make_pipeline, read_revision),
    "prepared arrays": (make_prepared, read_prepared),
    "safetensors": (make_weights, read_weights),
    "npz": (make_predictions, read_predictions),
    "probabilities": (make_probabilities, read_probabilities),
    "results JSON, CSV": (make_results, read_results),
    "DVC cache": (make_cache, read_cache),
    "report artifacts": (make_artifact, read_artifact),
}


# --- running -------------------------------------------------------------------------------------


@contextlib.contextmanager
def both(first: Callable[[], object]) -> Iterator[None]:
    """Runs what is in the block even where the first reader refuses; then the refusal counts."""
    refusal = None
    try:
        first()
    except LabError as error:
        refusal = error
    yield
    if refusal:
        raise refusal


VALID: dict[str, bytes] = {}


ALSO_VALID: dict[str, bytes] = {}  # files of other kinds


def make_valid() -> None:
    """A small project in the working folder, and what all of its files hold."""
    data = prepared(images(60, 0), images(20, 1), images(40, 2))
    split = parts(train=data.train, validation=data.validation, test=data.test)
    storage.save_prepared(split, CLASSES, PREPARED)
    description.write_description(data.description, DESCRIPTION)
    validation, test = (evaluated(part.labels) for part in (data.validation, data.test))
    weights = {}  # of one hidden layer with 8 units, as params.yaml has MODEL
    for layer, (into, out) in enumerate([(PIXELS, 8), (8, CLASSES)]):
        weights[f"{2 * layer}.weight"] = np.zeros((3, out, into), np.float32)
        weights[f"{2 * layer}.bias"] = np.zeros((3, out), np.float32)
    epochs = tuple(
        Epoch(SEEDS, number, validation.loss_S, validation.loss_S, validation.accuracy_S)
        for number in (1, 2)
    )
    trained = Trained(SEEDS, weights, 9, epochs, validation, test)
    for name in (MODEL, OTHER):
        write_trained(name, trained, data, device="cpu", precision="float32")
    digest = sha256(Path(f"{MODEL_RESULTS}/{MODEL}.json").read_bytes())
    cost = {"wall_seconds": 1.0, "cpu_seconds": 1.0, "image_steps_per_second": 9.0,
            "peak_memory_bytes": 9, "results_sha256": digest}  # fmt: skip
    COSTS.mkdir(parents=True)
    (COSTS / f"{digest}.json").write_text(json.dumps(cost), encoding="utf-8")
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".dvc").mkdir()
    for name in ("dvc.yaml", "requirements.txt", ".dvc/config"):
        Path(name).write_bytes((ROOT / name).read_bytes())
    Path("params.yaml").write_text(SMALL, encoding="utf-8")
    Path("dvc.lock").write_bytes(lock())
    with zipfile.ZipFile("report.zip", "w") as archive:
        archive.writestr("report.json", json.dumps(evidence(model(MODEL, side(), side()))))
    for name, content in ALSO_VALID.items():
        Path(name).write_bytes(content)
    files = [path for path in Path().rglob("*") if path.is_file()]
    VALID.update({path.as_posix(): path.read_bytes() for path in files})
    for name, content in VALID.items():
        (Path("valid") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("valid") / name).write_bytes(content)


def lock() -> bytes:
    """A `dvc.lock` as if all stages had run, with made-up hashes."""
    entries = {}
    for name, stage in read_stages(Path()).items():
        entries[name] = {
            "cmd": stage.command,
            "deps": [entry(path) for path in stage.dependencies],
            "params": {"params.yaml": {key: one.present for key, one in stage.params.items()}},
            "outs": [entry(path) for path in stage.outputs],
        }
    content = io.BytesIO()
    YAML(typ="safe", pure=True).dump({"schema": "2.0", "stages": entries}, content)
    return content.getvalue()


def entry(path: str) -> dict[str, Any]:
    md5 = sha256(path.encode())[:32]
    return {"path": path, "hash": "md5", "md5": md5, "size": len(path)}


def evaluated(labels: Any) -> Evaluation:
    predictions = np.repeat(labels[None], len(SEEDS), axis=0)
    predictions[:, ::7] = 3
    accuracy = (predictions == labels).mean(axis=1)
    probabilities = np.full((*predictions.shape, 10), 0.1 / 9, np.float32)
    np.put_along_axis(probabilities, predictions[..., None].astype(int), np.float32(0.9), axis=2)
    confidence = np.full(predictions.shape, 0.9, np.float32)
    return Evaluation(accuracy, 1 - accuracy, predictions, confidence, probabilities)


def restore() -> None:
    """Makes every file of the project valid again."""
    for name, content in VALID.items():
        path = Path(name)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


FORBIDDEN = re.compile(
    r"pickle\.|marshal\.|subprocess\.|os\.(system|exec|posix_spawn|fork|spawn)|socket\.connect|"
    r"ctypes\.dlopen|code\.__new__|shutil\.unpack"
)
WRITING = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink",
           "os.truncate", "shutil.move", "shutil.copyfile"}  # fmt: skip
violations: list[str] = []
is_reading = False


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes code that is run from data, and what is written outside the project."""
    if not is_reading:
        return
    paths: tuple[Any, ...] = ()
    if event in WRITING:
        paths = arguments[:2]
    elif (
        event == "open"
        and isinstance(arguments[2], int)
        and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    ):
        paths = arguments[:1]
    elif FORBIDDEN.match(event) and arguments[0] != "git":  # which names files that changed
        violations.append(f"{event} {arguments!r:.100}")
    for path in paths:
        if isinstance(path, str | os.PathLike):
            place = os.path.abspath(os.fspath(path))  # noqa: PTH100
            if not place.startswith(os.getcwd() + os.sep):  # noqa: PTH109
                violations.append(f"{event} {place}")


class Hang(BaseException):
    """A reader took too long."""


def ring(number: int, frame: FrameType | None) -> None:
    raise Hang


def peak() -> int:
    """The largest resident size so far, in bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def read_all(kind: str, first: int, count: int) -> dict[str, Any]:
    """Makes and reads `count` files of a kind."""
    global is_reading
    make, read = KINDS[kind]
    make_valid()
    snapshots.parse_yaml = parsed_once
    read()  # a valid one, which also imports whatever is imported late
    sys.addaudithook(watch)
    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGPROF, ring)
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    slowest = largest = 0.0
    for number in range(first, first + count):
        restore()
        make(random.Random(f"{kind} {number}"))
        before, started = peak(), time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(WAITING_SECONDS)
        is_reading, fault = True, ""
        try:
            read()
            outcomes["taken"] += 1
        except LabError as error:
            outcomes["refused"] += 1
            if "\n" in str(error) or len(str(error)) > LONGEST_MESSAGE:
                fault = f"message of {len(str(error))} characters: {str(error)[:80]!r}"
        except Hang:
            fault = "hang"
        except BaseException as error:
            fault = f"{type(error).__name__}: {str(error)[:120]} ({place_of(error)})"
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            is_reading = False
        slowest = max(slowest, time.process_time() - started)
        if peak() > before:
            largest = max(largest, peak())
            if peak() > BYTES:
                fault = fault or f"{peak():,} bytes of memory"
        if violations:
            fault = f"{fault} {violations[:3]}"
            violations.clear()
        if fault:
            faults.append(f"{kind} {number}: {fault}")
            print(faults[-1], file=sys.stderr, flush=True)
    return {"outcomes": outcomes, "faults": faults, "slowest": slowest, "peak": peak()}


def place_of(error: BaseException) -> str:
    """Where in the project an error came from."""
    trace, found = error.__traceback__, ""
    while trace:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.name != "inputs.py" and ".venv" not in path.parts:
            found = f"{path.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def main() -> None:
    """Reads what the command line names."""
    params.NETWORKS = TINY / "task/networks"
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    os.environ["DVC_SITE_CACHE_DIR"] = str(Path("dvc").absolute())
    if any(Path().iterdir()):
        sys.exit("it writes corrupted files into the working directory: start it in an empty one")
    print(json.dumps(read_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))


if __name__ == "__main__":
    main()
