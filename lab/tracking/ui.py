"""MLflow's own pages on the local store: `make ui`."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys

from lab.base.errors import LabError, shortened
from lab.base.mlflow_ui import view_page
from lab.base.script import run_script
from lab.tracking import views
from lab.tracking.destination import LOCAL_STORE, quiet_mlflow
from lab.tracking.moving import go_home


def main() -> None:
    """Serves the MLflow UI on the local store until interrupted.

    Raises:
        LabError: there are arguments, `UI_PORT` is not a port, or the port is taken.
    """
    if sys.argv[1:]:
        raise LabError(f"lab.tracking.ui: takes no argument; got {sys.argv[1:]}; use make ui")
    port = _port()
    with contextlib.suppress(sqlite3.Error):  # MLflow says it better
        go_home()
    page = view_page(f"http://127.0.0.1:{port}", _experiment(), views.KEY)
    print(f"MLflow UI: {page} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", LOCAL_STORE]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {
        **os.environ,
        **quiet_mlflow(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # two more processes, for prompts
        "PYTHONWARNINGS": "ignore",
    }
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run([*command, "--uvicorn-opts", "--log-level warning"], env=environment)


def _experiment() -> str:
    """The id of the experiment with the runs; the store and its saved view are made if need be."""
    os.environ.update(quiet_mlflow())  # before MLflow is imported
    from lab.tracking.store import Store

    try:
        return Store(LOCAL_STORE).experiment
    except Exception as error:  # whatever MLflow raises of a store that it cannot open
        text = shortened(str(error), 200) or type(error).__name__
        raise LabError(f"MLflow's local store: {text}") from None


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
