"""The front matter of a Markdown file: YAML between two lines ---."""

from pathlib import Path
from typing import Any

from lab.base.errors import DataError
from lab.base.files import read_bytes
from lab.base.yaml import read_yaml

MAX_BYTES = 100_000


def read(path: Path, missing: str) -> tuple[dict[str, Any], str, str]:
    """What it says, its own text, and the text after it.

    Args:
        path: of the file.
        missing: what to do where there is none.

    Raises:
        DataError: the file is missing, no UTF-8, or begins with none.
        ParamsError: what it begins with is not YAML.
    """
    try:
        text = read_bytes(path, MAX_BYTES).decode()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {missing}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: must be UTF-8; got other bytes; save it as UTF-8") from None
    opening, _, rest = text.replace("\r\n", "\n").partition("---\n")
    front, ending, words = rest.partition("\n---\n")
    tree: Any = read_yaml(f"\n{front}".encode(), str(path), MAX_BYTES) if ending else None
    if opening.strip() or not isinstance(tree, dict):
        raise DataError(f"{path}: must begin with YAML between two lines ---; add it")
    return tree, front, words
