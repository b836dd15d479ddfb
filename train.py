"""Trains one model of params.yaml, all its seeds: `python train.py MODEL`."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse

from lab.base import params
from lab.base.files import put_back
from lab.base.progress import EpochProgress
from lab.data.description import DESCRIPTION, read_description, verify
from lab.data.prepared import PREPARED, load_prepared
from lab.results.cost import Meter, write_cost
from lab.results.storage import tracked
from lab.tracking import recording as tracking
from lab.tracking import training_runs
from lab.training import checkpoints
from lab.training.checkpoints import Checkpoints
from lab.training.device import choose_device, choose_precision
from lab.training.loop import train_model
from lab.training.outcome import Epoch
from lab.training.scoring import curve, write_trained
from lab.training.stacks import cores, image_steps, stacks


def main() -> None:
    """Trains, writes the model's files, records its runs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", help="an entry of `models:` in params.yaml")
    name: str = arguments.parse_args().model
    tree = params.load()
    model, train = tree.model(name), tree.train
    put_back(*tracked(name))
    checkpoints.clear_recorded(name)
    data = load_prepared(PREPARED)
    device = choose_device()
    precision = choose_precision(train.precision, device, print)
    described = read_description(DESCRIPTION)
    verify(data, described)
    kept = Checkpoints(tree, name, described, device=device.type, precision=precision)
    run = training_runs.training_run(tree, name, described)

    with tracking.recording(run) as active:
        with EpochProgress(len(stacks(train)) * train.epochs) as progress, Meter() as meter:

            def on_epoch(epoch: Epoch) -> None:
                progress.show(name, epoch.seeds, epoch.number, epoch.validation_accuracy_S.mean())
                training_runs.log_epoch(active, name, epoch)

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
        results = write_trained(name, trained, data, device=device.type, precision=precision)
        usage = None if kept.is_used else meter.usage
        costs = write_cost(name, usage, image_steps(train, data), tracked(name)[0])
        training_runs.log_results(active, results, curve(trained), costs)
    checkpoints.finish(name, tracked(name)[0])
    accuracy = results.test.accuracy
    print(f"{name}: test accuracy {accuracy.mean:.4f} over {len(results.seeds)} seeds")


if __name__ == "__main__":
    run_script(main)
