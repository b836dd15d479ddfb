"""`python -m lab.serving.predict FILE...`: what the exported model says of each example in files.

Pictures for a model of images, `.csv` files for one of rows, `.txt` files for one of texts, and for
each of them `.npy` files of inputs as the data store them. It needs NumPy, onnxruntime and Pillow.
"""

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes
from lab.base.script import run_script
from lab.results.served_model import stored
from lab.serving import bodies
from lab.serving.network import MODEL, Network

MOST_BYTES = 2**30  # of a file, which is read as a whole
TYPES = {".csv": bodies.CSV, ".txt": bodies.TEXT, ".json": bodies.JSON, ".jpg": "image/jpeg"}
TYPES |= {f".{kind.rpartition('/')[2]}": kind for kind in bodies.PICTURES}


def main() -> None:
    """Prints file, class and probability of every example, between tabs."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.serving.predict", description=(__doc__ or "").partition(": ")[2]
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"an ONNX file, {MODEL}")
    options = parser.parse_args()
    network = Network(options.model)
    names = network.description["class_names"]
    for path in options.files:
        found_NC = network(examples(path, network.description))
        for number, row_C in enumerate(found_NC, start=1):
            where = path if len(found_NC) == 1 else f"{path}:{number}"
            print(f"{where}\t{names[int(row_C.argmax())]}\t{row_C.max():.4f}")


def examples(path: Path, description: Mapping[str, Any]) -> NDArray[Any]:
    """The inputs [N, ...] in a file, in stored form.

    Raises:
        DataError: it is missing, damaged, or of no kind that this model takes.
    """
    suffix = path.suffix.lower()
    if suffix != ".npy" and suffix not in TYPES:
        listed = ", ".join([".npy", *TYPES])
        raise DataError(f"{path}: must end in one of {listed}; got another end; rename it")
    try:
        content = read_bytes(path, MOST_BYTES)
        if suffix == ".npy":
            return stored(description, _array(content))
        return bodies.examples(TYPES[suffix], content, description)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; correct the name") from None
    except IsADirectoryError:
        raise DataError(f"{path}: must be a file; got a folder; name the files in it") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _array(content: bytes) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged header NumPy raises nearly anything
        reason = shortened(str(error), 80)
        raise ValueError(f"must be a whole .npy file of numbers; got {reason}; save it") from None
    return found


if __name__ == "__main__":
    run_script(main)
