"""Trains one model of params.yaml, all its seeds: `python train.py MODEL`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

from lab.tracking import recording as tracking

if __name__ == "__main__":
    tracking.warm_up(waits=False)  # MLflow takes as long to import as torch: both at once

import argparse
from collections.abc import Callable

from lab.base import params
from lab.base.files import put_back
from lab.base.params import Params
from lab.base.progress import EpochProgress
from lab.data.prepared import Prepared, verify
from lab.parallel import processes
from lab.parallel.work import Done, Stack, complete, killed, prepared, train
from lab.results.cost import Meter, write_cost
from lab.results.storage import tracked
from lab.tracking import training_runs
from lab.training import checkpoints, networks
from lab.training.checkpoints import Checkpoints
from lab.training.device import choose_device, choose_precision
from lab.training.loop import train_model
from lab.training.outcome import Epoch
from lab.training.scoring import curve, write_trained
from lab.training.stacks import cores, example_steps, stacks


def main() -> None:
    """Trains, writes the model's files, records its runs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", help="an entry of `models:` in params.yaml")
    name: str = arguments.parse_args().model
    tree = params.load()
    model = tree.model(name)
    put_back(*tracked(name))
    networks.check(tree)
    is_stacked = networks.is_stacked(model)
    if not is_stacked:
        processes.warm_up()
    checkpoints.clear_recorded(name)
    data = prepared()
    verify(data)
    run = training_runs.training_run(tree, name, data.description)

    with tracking.recording(run, waits=False) as active:
        with EpochProgress(len(tree.train.seeds) * tree.train.epochs) as progress:

            def on_epoch(epoch: Epoch) -> None:
                progress.show(name, epoch.seeds, epoch.number, epoch.validation_accuracy_S.mean())
                training_runs.log_epoch(active, name, epoch)

            if is_stacked:
                done = in_threads(tree, name, data, on_epoch)
            else:
                done = in_processes(tree, name, progress)
                for epoch in done.trained.epochs:
                    training_runs.log_epoch(active, name, epoch)
        results = write_trained(
            name, done.trained, data, device=done.device, precision=done.precision
        )
        steps = example_steps(done.trained, data)
        costs = write_cost(done.usage, steps, tracked(name)[0])
        own = training_runs.own_scores(name, done.trained, data)
        training_runs.log_results(active, results, curve(done.trained), costs, own)
    checkpoints.finish(name, tracked(name)[0])
    accuracy = results.test.accuracy
    print(f"{name}: test accuracy {accuracy.mean:.4f} over {len(results.seeds)} seeds")


def in_threads(tree: Params, name: str, data: Prepared, on_epoch: Callable[[Epoch], None]) -> Done:
    """Trains a network whose stacks are batched programs."""
    device = choose_device()
    precision = choose_precision(tree.precision(name), device, print)
    kept = Checkpoints(tree, name, data.description, device=device.type, precision=precision)
    with Meter() as meter:
        trained = train_model(
            name,
            tree.models[name],
            tree.train,
            data,
            on_epoch,
            device=device,
            precision=precision,
            workers=cores(),
            kept=kept,
        )
    return Done(trained, device.type, precision, None if kept.is_used else meter.usage)


def in_processes(tree: Params, name: str, progress: EpochProgress) -> Done:
    """Trains plain modules, whose random numbers come from generators that a process has one of.

    Raises:
        LabError: the task's code fails, or processes were killed at every try.
    """
    choose_precision(tree.precision(name), choose_device(), print)
    todo = [Stack(name, seeds) for seeds in stacks(tree.train)]
    done = dict(processes.on_this_machine(tree, todo, cores(), progress.show, train))
    parts = [part for stack in todo if (part := done[stack])]
    if len(parts) < len(todo):
        raise killed([stack for stack in todo if not done[stack]])
    return complete(name, parts)


if __name__ == "__main__":
    run_script(main)
