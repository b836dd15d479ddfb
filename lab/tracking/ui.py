"""MLflow's own pages on the local store: `make ui`, or `python -m lab.tracking.ui`."""

import contextlib
import os
import socket
import subprocess
import sys

from lab.base.errors import LabError
from lab.base.script import run_script
from lab.tracking.destination import local_store, quiet_mlflow


def main() -> None:
    """Serves the MLflow UI on the local store until interrupted.

    Raises:
        LabError: there are arguments, `UI_PORT` is not a port, or the port is taken.
    """
    if sys.argv[1:]:
        raise LabError(f"lab.tracking.ui: takes no argument; got {sys.argv[1:]}; use make ui")
    port = _port()
    page = f"http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"
    print(f"MLflow UI: {page} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", local_store()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        **quiet_mlflow(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # two more processes, for prompts
        "PYTHONWARNINGS": "ignore",
    }
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run([*command, "--uvicorn-opts", "--log-level warning"], env=environment)


def _port() -> int:
    text = os.environ.get("UI_PORT", "5000")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65_536):
        raise LabError(f"UI_PORT: a port is a number from 1 to 65535; got {text!r}; correct it")
    port = int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(
                f"UI_PORT: port {port} cannot be used ({error.strerror}); "
                f"use another: make ui UI_PORT={port + 1}"
            ) from None
    return port


if __name__ == "__main__":
    run_script(main)
