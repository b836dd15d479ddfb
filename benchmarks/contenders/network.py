"""The network that all contenders of `benchmarks.serving` run, with one thread as serve.py does.

This folder has only what is run by the Python of .venv/bench-serve or .venv/bench-drift, which have
nothing of this project.
"""

import os
from typing import Any

import numpy as np
import onnxruntime as ort

MODEL = "BENCHMARK_MODEL"  # the variable with the path of the ONNX file


class Network:
    """Probabilities of images."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(
            os.environ[MODEL], options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images: Any) -> np.ndarray:
        """Float32 [N, C] of bytes [N, H, W]."""
        found: np.ndarray = self._session.run(None, {"inputs": np.asarray(images, np.uint8)})[0]
        return found
