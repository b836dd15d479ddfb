"""Sends recorded runs to the configured MLflow server or DagsHub repository: `make sync`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import os
import sys

from tqdm import tqdm

from lab.base.errors import LabError
from lab.base.home import home
from lab.tracking import destination
from lab.tracking.destination import (
    EXPERIMENT,
    NOT_OURS,
    ServerError,
    host_of,
    quiet_mlflow,
    server_url,
)
from lab.tracking.recording import STORE_PATIENCE
from lab.tracking.writer import write_others


def main() -> None:
    """Sends every run that the server lacks; `--if-configured` sends nothing without a server.

    First lets the local store have what scripts recorded, if it lacks some of it.

    Raises:
        LabError: no server is configured, it refuses, or runs are left to send.
    """
    url = server_url()
    os.environ.update(quiet_mlflow())  # before MLflow is imported
    for name in NOT_OURS:
        os.environ.pop(name, None)
    os.chdir(home())
    write_others(tqdm.write, None, STORE_PATIENCE)
    if not url and "--if-configured" not in sys.argv[1:]:
        raise LabError(
            "no server is configured; set MLFLOW_TRACKING_URI to one, "
            "or DAGSHUB_REPO and DAGSHUB_USER_TOKEN"
        )
    if url:
        send_all(url)


def send_all(url: str) -> None:
    """Sends the whole queue, with progress.

    Raises:
        LabError: runs are left to send.
    """
    from lab.tracking import registry
    from lab.tracking.sender import left_line, send_queue
    from lab.tracking.sent import SentRuns, unsent
    from lab.tracking.server import Server
    from lab.tracking.store import Store

    store, sent = Store(destination.LOCAL_STORE).client, SentRuns(url)
    queue = unsent(store, sent)
    count, problem = sum(queue.values()), ""
    try:
        with tqdm(total=count, unit="run", desc=host_of(url), disable=None) as progress:
            problem = send_queue(queue, store, Server(url), sent, progress.update)
    except ServerError as error:
        problem = str(error)
    left = sum(unsent(store, sent).values())
    if left:
        raise LabError(left_line(left, host_of(url), problem))
    print(f"{host_of(url)}: {count} run{'s' * (count != 1)} sent, none left")
    try:
        said = registry.mirror(store, EXPERIMENT, Server(url), sent)
    except ServerError as error:  # the alias is a view, and not every server has a registry
        said = f"what is in production is not marked there: {error}"
    if said:
        print(f"{host_of(url)}: {said}")


if __name__ == "__main__":
    run_script(main)
