"""`models/production`: the files of the version that is in production, for the service."""

from collections.abc import Mapping
from pathlib import Path

from lab.base.dvc import opened
from lab.base.errors import DataError, LabError, shortened
from lab.base.files import replacing_all, sha256
from lab.base.records import read_record
from lab.registry.promotion import MAX_BYTES, Promotion, file_name
from lab.results.exported import EXPORTS
from lab.shifts import reference as references

FOLDER = Path("models/production")
RECORD = FOLDER / "promotion.json"  # which version these are
REFERENCE = references.FILE.name  # of the version's answers, for monitor.py


def lay_out(root: Path, one: Promotion, folder: Path = FOLDER) -> bool:
    """Lets a folder hold a version's files and no others; whether anything was written.

    Each file is whole at any moment: a service that follows one takes it as it is.

    Raises:
        DataError: neither models/export nor DVC has them.
        OSError: the folder cannot be written, or the disk is full.
    """
    folder = root / folder
    wanted = {folder / file_name(form): digest for form, digest in one.files.items()}
    record = folder / RECORD.name
    lacking = {path: digest for path, digest in wanted.items() if not _is(path, digest)}
    found = contents(root, one, {path.name: digest for path, digest in lacking.items()})
    said = one.text().encode()
    writing = {path: found[path.name] for path in lacking}
    has_own = _belongs(beside := folder / REFERENCE, one)
    if not has_own and (content := _reference(root, one)):
        writing[beside] = content
    if not record.is_file() or record.read_bytes() != said:
        writing[record] = said
    if writing:
        with replacing_all(list(writing)) as temporaries:
            for temporary, content in zip(temporaries, writing.values(), strict=True):
                temporary.write_bytes(content)
    others = {*folder.glob("*.onnx")} - wanted.keys()
    if beside.exists() and not has_own and beside not in writing:  # of the version before
        others.add(beside)
    for path in others:
        path.unlink()
    return bool(writing or others)


def packed(folder: Path, one: Promotion) -> dict[str, bytes]:
    """The files of a version as `lay_out` left them in a folder.

    Raises:
        DataError: one is missing, or another one.
    """
    found = {}
    for form, digest in one.files.items():
        path = folder / file_name(form)
        content = path.read_bytes() if path.is_file() else b""
        if sha256(content) != digest:
            raise DataError(
                f"{path}: must be of SHA-256 {digest[:12]}, as {RECORD.name} says; got "
                f"{sha256(content)[:12]}; run the job again"
            )
        found[path.name] = content
    return found


def read(folder: Path) -> Promotion:
    """The version whose files lie in a folder.

    Raises:
        DataError: its record is missing or damaged.
    """
    return read_record(folder / RECORD.name, Promotion, MAX_BYTES, "run the job again")


def contents(root: Path, one: Promotion, wanted: Mapping[str, str]) -> dict[str, bytes]:
    """The bytes of files by their SHA-256: from models/export, else as DVC keeps its commit's.

    Raises:
        DataError: they cannot be had.
    """
    found = {
        name: content
        for name, digest in wanted.items()
        if (path := root / EXPORTS / name).is_file()
        if sha256(content := path.read_bytes()) == digest
    }
    if len(found) < len(wanted):
        kept = _of_dvc(root, one, [name for name in wanted if name not in found])
        for name, content in kept.items():
            if sha256(content) != wanted[name]:
                raise DataError(
                    f"{EXPORTS / name}: must be of SHA-256 {wanted[name][:12]}, as {one.tag} says; "
                    f"got another at {one.commit[:12]}; promote another version"
                )
        found |= kept
    return found


def _of_dvc(root: Path, one: Promotion, names: list[str]) -> dict[str, bytes]:
    """From DVC's cache, or its default remote."""
    try:
        with opened(root, one.commit) as repo:
            return {name: repo.dvcfs.cat_file((EXPORTS / name).as_posix()) for name in names}
    except LabError:
        raise
    except Exception as error:  # whatever DVC raises of a cache that lacks them, or a network
        reason = shortened(str(error), 120) or type(error).__name__
        raise DataError(
            f"{EXPORTS / names[0]}: DVC must have it of {one.title}; got none ({reason}); run "
            f"`git checkout {one.commit[:12]}`, `make pull` and `make repro` in another clone"
        ) from None


def _reference(root: Path, one: Promotion) -> bytes | None:
    """What a version's answers are held against; a model that was exported before had none."""
    if _belongs(path := root / references.FILE, one):
        return path.read_bytes()
    try:
        return _of_dvc(root, one, [REFERENCE])[REFERENCE]
    except DataError:
        return None


def _belongs(path: Path, one: Promotion) -> bool:
    try:
        return one.files["model"] in references.read(path).about["models"].values()
    except DataError:
        return False


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == digest
