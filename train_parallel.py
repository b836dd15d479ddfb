"""Trains all models of params.yaml that are not up to date, on all cores or on a cluster.

Compares them, writes what `dvc repro` would write, byte for byte, and records it in DVC.
"""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from lab.base import dvc, locks, params
from lab.base.errors import LabError
from lab.base.files import write_bytes
from lab.base.params import Params
from lab.base.progress import EpochProgress
from lab.data.prepared import verify
from lab.parallel import cluster, processes
from lab.parallel.work import Done, Outcome, Stack, complete, killed, prepared, train
from lab.results import cost
from lab.results.storage import tracked
from lab.tracking import recording as tracking
from lab.tracking import training_runs
from lab.tracking.recording import ActiveRun
from lab.training import checkpoints, stacks
from lab.training.scoring import curve, write_trained


def main() -> None:
    """Trains every stack at the same time; writes and records a model when it is complete."""
    options = parse()
    tree = params.load()
    if options.address:
        cluster.connect(options.address)
    else:
        processes.warm_up()
    locks.repair()
    locks.require_free()
    stale = out_of_date()
    names = [name for name in tree.models if options.force or f"train@{name}" in stale]
    if not names and "compare" not in stale:
        print("every model is up to date")
        return
    done: list[str] = []
    try:
        if names:
            train_all(tree, names, options, done)
        else:
            compare_all(done)
    finally:  # with the runs already on their way, so that a kill from here on takes none of them
        if done:
            record_in_dvc(done)
        for name in names:
            if f"train@{name}" in done:
                checkpoints.clear(name)


def train_all(
    tree: Params, names: Sequence[str], options: argparse.Namespace, done: list[str]
) -> None:
    """Trains models, records their runs, and compares if none is lost.

    Args:
        tree: the params.
        names: the models.
        options: of the command line.
        done: takes the stages that are complete.

    Raises:
        LabError: a stack is lost, or `params.yaml` is not any more what was trained.
    """
    todo = [Stack(name, seeds) for name in names for seeds in stacks.stacks(tree.train)]
    with (
        ExitStack() as whole,
        EpochProgress(sum(len(stack.seeds) for stack in todo) * tree.train.epochs) as progress,
    ):
        open_runs = record(tree, names, whole)
        finished = whole.enter_context(closing(outcomes(tree, todo, options, progress)))
        lost = collect(tree, todo, finished, open_runs)
        if params.load() != tree:
            raise LabError("params.yaml changed meanwhile; the results are not recorded in DVC")
        done += [f"train@{name}" for name in names if name not in {one.model for one in lost}]
        if lost:
            raise killed(lost, "the other models are written and recorded; ")
        compare_all(done)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=stacks.cores(), help="processes here")
    parser.add_argument("--address", help="train on the Ray cluster there, for example auto")
    parser.add_argument("--gpus-per-stack", type=float, default=0.0, help="share of a GPU, on Ray")
    parser.add_argument("--force", action="store_true", help="train what is up to date as well")
    options = parser.parse_args()
    if options.workers < 1:
        parser.error(f"--workers: must be at least 1; got {options.workers}")
    return options


def out_of_date() -> dict[str, object]:
    """The stages whose results DVC would not accept as they are: of models, and `compare`.

    Raises:
        LabError: the data are out of date, or DVC cannot tell.
    """
    stages = ("prepare", "check", "train", "compare")
    changed: dict[str, object] = json.loads(dvc.run("status", "--json", *stages))
    if "prepare" in changed:
        raise LabError("the prepared data are out of date; run `dvc repro --force prepare`")
    if "check" in changed:
        raise LabError("the check of the data is out of date; run `dvc repro check`")
    return changed


@dataclass(frozen=True)
class OpenRun:
    """A model's MLflow run; closed when the model is complete, or when everything ends."""

    active: ActiveRun
    until: ExitStack


def record(tree: Params, names: Sequence[str], whole: ExitStack) -> dict[str, OpenRun]:
    """Opens one run for all and one for each model, with the same tag `group`."""
    verify(prepared())
    data = prepared().description
    group = training_runs.group_of(tree, data)
    whole.enter_context(
        tracking.recording(training_runs.group_run(tree, names, data, group), waits=False)
    )
    opened = {}
    for name in names:
        until = whole.enter_context(ExitStack())
        run = training_runs.training_run(tree, name, data, group)
        opened[name] = OpenRun(until.enter_context(tracking.recording(run, waits=False)), until)
    return opened


def outcomes(
    tree: Params, todo: Sequence[Stack], options: argparse.Namespace, progress: EpochProgress
) -> Generator[Outcome]:
    """The stacks as they finish, wherever they are trained."""
    if options.address:
        share: float = options.gpus_per_stack
        return cluster.on_cluster(tree, todo, share, progress.show, train)
    return processes.on_this_machine(tree, todo, options.workers, progress.show, train)


def collect(
    tree: Params,
    todo: Sequence[Stack],
    finished: Generator[Outcome],
    open_runs: Mapping[str, OpenRun],
) -> list[Stack]:
    """Writes each model as soon as its last stack is there; returns the stacks that failed."""
    found: dict[Stack, Done] = {}
    lost: list[Stack] = []
    for stack, done in finished:
        if done is None:
            lost.append(stack)
            continue
        found[stack] = done
        run = open_runs[stack.model]
        for epoch in done.trained.epochs:
            training_runs.log_epoch(run.active, stack.model, epoch)
        parts = [found.get(other) for other in todo if other.model == stack.model]
        if all(parts):
            write(tree, stack.model, [part for part in parts if part], run.active)
            run.until.close()
    return lost


def write(tree: Params, name: str, parts: Sequence[Done], active: ActiveRun) -> None:
    """Writes and records a model whose stacks are all there."""
    done, data = complete(name, parts), prepared()
    if done.precision != tree.precision(name):
        print(f"{name}: trained in {done.precision}: no instructions for {tree.precision(name)}")
    results = write_trained(name, done.trained, data, device=done.device, precision=done.precision)
    steps = stacks.example_steps(done.trained, data)
    values = cost.write_cost(done.usage, steps, tracked(name)[0])
    own = training_runs.own_scores(name, done.trained, data)
    training_runs.log_results(active, results, curve(done.trained), values, own)
    print(f"{name}: test accuracy {results.test.accuracy.mean:.4f} over {len(results.seeds)} seeds")


def compare_all(done: list[str]) -> None:
    """Runs stage `compare`, and notes that it is done."""
    import compare  # here, because worker processes import this file as well

    compare.main()
    done.append("compare")


def record_in_dvc(stages: Sequence[str]) -> None:
    """Lets DVC take stages for run.

    Raises:
        LabError: it refuses, as while another DVC works on the same files.
    """
    lock = Path("dvc.lock")
    before = lock.read_bytes() if lock.exists() else None
    try:
        dvc.run("commit", "-f", *stages)
    except LabError as error:
        if before is not None:
            write_bytes(lock, before)  # DVC writes it in place, and may have been killed in it
        again = f"dvc commit -f {' '.join(stages)}"
        raise LabError(
            f"{error}; the results are written and not recorded: then run `{again}`"
        ) from None


if __name__ == "__main__":
    run_script(main)
