"""Trains one model of params.yaml, all its seeds: `python train.py MODEL`."""

import argparse

from lab.base import params
from lab.base.errors import run_script
from lab.base.files import put_back
from lab.base.progress import EpochProgress
from lab.data.dataset import DESCRIPTION, PREPARED, load_prepared, read_description, verify
from lab.results import schema as results
from lab.results.cost import Meter, write_cost
from lab.results.schema import Epoch
from lab.tracking import recording as tracking
from lab.tracking import runs
from lab.training import checkpoints
from lab.training.checkpoints import Checkpoints
from lab.training.loop import choose_device, choose_precision, train_model
from lab.training.stacks import cores, image_steps, stacks


def main() -> None:
    """Trains, writes the model's files, records its runs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", help="an entry of `models:` in params.yaml")
    name: str = arguments.parse_args().model
    tree = params.load()
    model, train = tree.model(name), tree.train
    put_back(*results.tracked(name))
    checkpoints.clear_recorded(name)
    data = load_prepared(PREPARED)
    device = choose_device()
    precision = choose_precision(train.precision, device, print)
    described = read_description(DESCRIPTION)
    verify(data, described)
    kept = Checkpoints(tree, name, described, device=device.type, precision=precision)
    run = runs.training_run(tree, name, described)

    with tracking.recording(run) as recorder:
        with EpochProgress(len(stacks(train)) * train.epochs) as progress, Meter() as meter:

            def on_epoch(epoch: Epoch) -> None:
                progress.show(name, epoch.seeds, epoch.number, epoch.validation_accuracy_S.mean())
                runs.log_epoch(recorder, name, epoch)

            trained = train_model(
                model,
                train,
                data,
                on_epoch,
                device=device,
                precision=precision,
                workers=cores(),
                kept=kept,
            )
        found = results.write_run(name, trained, data, device=device.type, precision=precision)
        cost = None if kept.is_used else meter.cost
        costs = write_cost(name, cost, image_steps(train, data), results.RUNS / f"{name}.json")
        runs.log_results(recorder, found, results.curve(trained), costs)
    checkpoints.finish(name, results.tracked(name)[0])
    accuracy = found.test.accuracy
    print(f"{name}: test accuracy {accuracy.mean:.4f} over {len(found.seeds)} seeds")


if __name__ == "__main__":
    run_script(main)
