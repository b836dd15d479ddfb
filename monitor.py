"""Holds what a service recorded against the reference of `export`, and its /metrics to targets."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import sys
import time
from pathlib import Path

from lab.base import params
from lab.base.errors import DataError, ParamsError
from lab.base.files import write_bytes, write_json, write_text
from lab.base.params import Params
from lab.base.serve_params import OFF
from lab.monitoring import budgets, kept, page, runs
from lab.monitoring.findings import found
from lab.monitoring.watch import State, Watch
from lab.registry import production
from lab.report.hypertext import hypertext
from lab.report.markdown import markdown
from lab.results.monitored import FOLDER, NAME, Monitored
from lab.serving.records import are_in
from lab.shifts import reference as references
from lab.shifts.reference import Reference
from lab.tracking import recording as tracking

EXIT_ALARM = 1
STATE = "state.npz"
IN_PRODUCTION = production.FOLDER / production.REFERENCE
KEEP_SECONDS = 5.0  # of work that a kill may lose


def main() -> None:
    """Goes through what was recorded since the last time, then says how it stands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=Path, help="a folder; else serve.record of params.yaml")
    parser.add_argument(
        "--reference",
        type=Path,
        default=IN_PRODUCTION if IN_PRODUCTION.exists() else references.FILE,
        help="of the model; default: in production, else exported",
    )
    parser.add_argument("--service", help="its address; else monitor.service of params.yaml")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the report")
    parser.add_argument("--calm", action="store_true", help="exit code 0 at an alarm, too")
    options = parser.parse_args()
    tracking.warm_up(waits=False)
    tree = with_service(params.load(), options.service)
    records = options.records or recorded(tree)
    reference = references.read(options.reference)
    watch = watched(records, reference, tree, options.folder)
    service, points = budgets.asked(tree.monitor, options.folder)
    result = found(watch, service)
    write(result, page.report(result, watch, tree.monitor, points), options.folder, records)
    log(result, watch, options.folder, records, tree)
    print(result.headline)
    print(f"the whole page: {options.folder / 'report.html'}", flush=True)
    if result.is_alarm and not options.calm:
        sys.exit(EXIT_ALARM)


def with_service(tree: Params, service: str | None) -> Params:
    """The params with the service that the command line names.

    Raises:
        ParamsError: it is no address.
    """
    if service is None:
        return tree
    try:
        named = {"service": params.service_address(service)}
    except ValueError as error:
        raise ParamsError(f"--service: {error}") from None
    return tree.model_copy(update={"monitor": tree.monitor.model_copy(update=named)})


def recorded(tree: Params) -> Path:
    """The folder that the service records in.

    Raises:
        ParamsError: it records nothing.
    """
    if tree.serve.record == OFF:
        raise ParamsError(
            f"{params.PARAMS_FILE}: serve.record: must be a folder; got {OFF}; "
            "name one, or give --records"
        )
    return Path(tree.serve.record)


def watched(records: Path, reference: Reference, tree: Params, folder: Path) -> Watch:
    """Takes what is new, and keeps where it stands.

    Raises:
        DataError: the records are none, are damaged, or are all of another model.
    """
    if records.is_dir() and not are_in(records):
        raise DataError(
            f"{records}: must be a folder that a service records in; got one without records; "
            "name another one, or start the service with it"
        )
    key = kept.key_of(reference, tree.monitor, records)
    path = folder / STATE
    before = kept.read(path, key)
    if before is None and path.exists():
        print(f"{path}: of another model, folder or params; all records are read", flush=True)
    watch = Watch(reference, tree.monitor, before or State())
    last = time.monotonic()
    for state in watch.follow(records):
        if time.monotonic() - last > KEEP_SECONDS:
            kept.write(path, state, key)
            last = time.monotonic()
    rest = watch.rest
    if not watch.state.windows and not rest.waiting and rest.others:
        ours = ", ".join(sha256[:12] for sha256 in reference.about["models"].values())
        raise DataError(
            f"{records}: must be of a model of the reference ({ours}); got {rest.other}; "
            "give the --reference that was exported with that model"
        )
    kept.write(path, watch.state, key)
    return watch


def write(result: Monitored, report: page.Report, folder: Path, records: Path) -> None:
    """The report, its numbers, the service's copy of them."""
    shown, without_inputs, pictures = report
    for name, content in pictures.items():
        write_bytes(folder / name, content)
    write_text(folder / "report.md", markdown(without_inputs, None))
    write_text(folder / "report.html", hypertext(shown, pictures))
    write_json(folder / NAME, result.model_dump())
    try:
        write_json(records / NAME, result.model_dump())
    except OSError as error:  # a folder that only the service may write
        print(f"{records / NAME}: {error.strerror}; the service's /metrics does without it")


def log(result: Monitored, watch: Watch, folder: Path, records: Path, tree: Params) -> None:
    """The run in MLflow."""
    with tracking.recording(runs.run(result, tree, watch, records), waits=False) as active:
        active.metrics(runs.metrics(result), step=result.windows)
        active.artifact(folder / "report.md")  # a server may get it: no input of a client
        active.artifact(folder / NAME)


if __name__ == "__main__":
    run_script(main)
