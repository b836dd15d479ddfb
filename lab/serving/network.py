"""An ONNX file of `models/export` as a function: stored inputs in, probabilities out."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# From 1.29 on, onnxruntime would report to its maker; this one has no such code. Belt and braces.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

from lab.base.errors import DataError, shortened
from lab.results.served_model import stored

MODEL = Path("models/export/model.onnx")
AT_ONCE = 256  # examples; more are no faster, and take more memory
DESCRIPTION = "description"  # the entry of the file's metadata that `stored` reads
# What that says, and which other entries there are; more may be.
DESCRIBED = (
    "kind", "shape", "dtype", "scaling", "class_names", "vocabulary", "columns", "framing",
    "tokeniser",
)  # fmt: skip
SAID = ("model", "seed", "dataset", "train_sha256", "test_sha256", "results_sha256")


class Network:
    """A network that is loaded.

    Args:
        model: the file, or its bytes.
        threads: that one call may use; more than one may change the last digits.

    Attributes:
        description: what the inputs are and what the classes are called.
        metadata: all else that the file says of itself.
        sha256: of the file.

    Raises:
        DataError: the file is missing, damaged, or not of this project.
    """

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        where = model if isinstance(model, Path) else "the network"
        if isinstance(model, Path) and not model.is_file():
            raise DataError(f"{model}: no such file; run `dvc repro export`")
        content = model if isinstance(model, bytes) else model.read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
            self.description: dict[str, Any] = json.loads(self.metadata.pop(DESCRIPTION))
            self._try()
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime has a class of error for each reason
            reason = shortened(str(error).partition("\n")[0], 160)
            raise DataError(
                f"{where}: must be an ONNX file that this project exported; got {reason}; "
                "run `dvc repro export`"
            ) from None

    def _try(self) -> None:
        """Asks it about one example, so that a file that cannot answer is refused at once."""
        lacking = {*DESCRIBED} - self.description.keys() or {*SAID} - self.metadata.keys()
        if lacking:
            raise ValueError(f"no {min(lacking)} in its metadata")
        shape, dtype = self.description["shape"], self.description["dtype"]
        given, wanted = np.zeros((1, *shape), dtype), (1, len(self.description["class_names"]))
        if (got := self._session.run(None, {"inputs": given})[0].shape) != wanted:
            raise ValueError(f"probabilities {list(got)}, not {list(wanted)}")

    def __call__(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities [N, C] of inputs [N, ...] as the data store them.

        Raises:
            ValueError: the inputs are not as the data store them.
        """
        examples = stored(self.description, inputs)
        parts = [
            self._session.run(None, {"inputs": examples[start : start + AT_ONCE]})[0]
            for start in range(0, len(examples), AT_ONCE)
        ]
        if len(parts) != 1:
            classes = len(self.description["class_names"])
            parts = [np.concatenate([np.empty((0, classes), np.float32), *parts])]
        probabilities_NC: NDArray[np.float32] = parts[0]
        return probabilities_NC
