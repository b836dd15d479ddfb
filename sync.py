"""Sends recorded runs to the configured MLflow server or DagsHub repository: `make sync`."""

import os
import sys

from tqdm import tqdm

from lab.base.errors import LabError
from lab.base.script import run_script
from lab.tracking import outbox, server
from lab.tracking.recorder import Store
from lab.tracking.recording import local_store, quiet_mlflow


def main() -> None:
    """Sends every run that the server lacks; `--if-configured` does nothing without a server.

    Raises:
        LabError: no server is configured, it refuses, or runs are left to send.
    """
    address = server.address()
    if not address and "--if-configured" not in sys.argv[1:]:
        raise LabError(
            "no server is configured; set MLFLOW_TRACKING_URI to one, "
            "or DAGSHUB_REPO and DAGSHUB_USER_TOKEN"
        )
    if address:
        os.environ.update(quiet_mlflow())
        send_all(address)


def send_all(address: str) -> None:
    """Sends the whole queue, with progress.

    Raises:
        LabError: runs are left to send.
    """
    host = server.host_of(address)
    store, ledger = Store(local_store()).client, outbox.Ledger(address)
    queue = outbox.unsent(store, ledger)
    count, problem = sum(queue.values()), ""
    try:
        with tqdm(total=count, unit="run", desc=host, disable=None) as progress:
            there = server.Server(server.destination())
            problem = outbox.Sync(store, there, ledger, progress.update).send(queue)
    except server.ServerError as error:
        problem = str(error)
    left = sum(outbox.unsent(store, ledger).values())
    if left:
        raise LabError(outbox.left_line(left, host, problem))
    print(f"{host}: {count} runs sent, none left")


if __name__ == "__main__":
    run_script(main)
