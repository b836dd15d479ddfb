"""The image that was just built and started: whether it serves the model that git names.

It needs no package, for none is installed where images are built.
"""

import json
import math
import sys
import urllib.request
from pathlib import Path
from typing import Any

from lab.base.errors import LabError
from lab.base.script import run_script

ADDRESS = "http://127.0.0.1:8000"  # where compose.yaml lets it answer
EXPORTED = Path("metrics/export.json")
BYTES = {"uint8": 1, "float32": 4, "int64": 8}
TIMEOUT_SECONDS = 10.0


def main() -> None:
    """Asks what the model is, and for a prediction of nothing but zeros.

    Raises:
        LabError: it does not answer, or with another model.
    """
    address = sys.argv[1] if len(sys.argv) > 1 else ADDRESS
    wanted = json.loads(EXPORTED.read_bytes())["forms"]["model"]["sha256"]
    model = _asked(f"{address}/model")
    if model["sha256"] != wanted:
        raise LabError(
            f"{address}: must serve the model of {EXPORTED} ({wanted[:12]}); got "
            f"{model['sha256'][:12]}; build the image with the models/export of this commit"
        )
    inputs = model["inputs"]
    zeros = bytes(math.prod(inputs["shape"]) * BYTES[inputs["dtype"]])
    (answer,) = _asked(f"{address}/predict", zeros)["predictions"]
    print(f"{address}: {model['model']} ({wanted[:12]}) answers: {answer['class']}")


def _asked(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(  # noqa: S310 this machine's own
        url, data=body, headers={"Content-Type": "application/octet-stream"}
    )
    # No proxy that may be set: this machine is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read())
    except (OSError, ValueError) as error:
        raise LabError(f"{url}: must answer; got {error}; read what the service says") from None


if __name__ == "__main__":
    run_script(main)
