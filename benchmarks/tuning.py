"""What a search finds, beside what a user would write: `python -m benchmarks.tuning`.

Every contender searches the space of params.yaml for better params of the first model, in a process
of its own, in turns, with another seed each round. Seconds are processor time by two cores, so that
a machine with other work to do measures the same; those of Ray, which has processes of its own and
needs `make cluster`, are the clock's. What each found is then trained on fresh seeds beside today's
params, ten seeds a side: the gain is the difference on test, which no contender saw.
"""

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from torchvision import datasets, transforms
from tqdm import tqdm

from benchmarks import entry
from benchmarks.race import RESULTS, ROOT, versions
from lab.base import params
from lab.base.files import write_json
from lab.base.params import Range, TrainParams
from lab.base.script import run_script
from lab.data.prepared import load_prepared
from lab.data.splits import Split
from lab.training.device import choose_device, choose_precision
from lab.training.loop import train_model, try_candidates
from lab.training.optimizer import decay
from lab.tuning.kept import Kept
from lab.tuning.rungs import Finished, Progress, Rungs
from lab.tuning.search import Budget, search
from lab.tuning.space import Proposer, Space
from lab.tuning.work import judged_of
from lab.verdict.differences import paired
from lab.verdict.seeds import fresh

CORES = 2
SEEDS = 10  # a side, of the trial
Found = tuple[dict[str, Any], int]  # the winner's values, and how many candidates were tried
Examples = tuple[torch.Tensor, torch.Tensor]  # inputs and labels
Batches = Callable[[], Iterator[Examples]]  # of one epoch
RAY = "Ray Tune, plain torch loop"
FOR_RAY = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0"}


def clock() -> float:
    """Seconds of `CORES` cores."""
    return time.process_time() / CORES


class Setting:
    """What all contenders share."""

    def __init__(self, seed: int) -> None:
        self.tree = params.load(ROOT / "params.yaml")
        self.name = next(iter(self.tree.models))
        self.space = Space(self.tree, self.name)
        self.data = load_prepared(ROOT)
        self.device = choose_device()
        self.precision = choose_precision(self.tree.precision(self.name), self.device, print)
        self.seed = seed


# --- ours ----------------------------------------------------------------------------------------


def ours(setting: Setting, seconds: float) -> Found:
    """tune.py's search; its batches in threads of this process, whose time is measured."""
    tree, space = setting.tree, setting.space
    seeds = fresh(setting.seed, "search", setting.name, 10)

    def hand_out(entries: Any, todo: Sequence[Any], train: Any) -> Finished[Any, Any]:
        def work(job: Any) -> Any:
            return job, train(entries, job, setting.data, lambda _: None, has_checkpoints=True)

        with ThreadPoolExecutor(CORES) as pool:
            for done in as_completed([pool.submit(work, job) for job in todo]):
                yield done.result()

    kept = Kept(tree, setting.name, setting.data.description, ["benchmark"])
    rungs = Rungs(tree, setting.name, kept, hand_out, Progress(tqdm(disable=True)))
    proposer = Proposer(space, seeds[0], maximise=True)
    budget = Budget(seconds=seconds, epochs=tree.train.epochs, clock=clock)
    found, _ = search(
        space, proposer, seeds, tree.train.epochs, budget, rungs,
        higher_is_better=judged_of(tree).higher_is_better,
    )  # fmt: skip
    return dict(found[0].values), len(found) - 1


# --- others --------------------------------------------------------------------------------------


def separate_stacks(setting: Setting, seconds: float) -> Found:
    """Random search: a stack of one seed for each candidate, in two threads of our own loop."""
    train, ends = setting.tree.train, clock() + seconds
    drawn = Proposer(setting.space, setting.seed, maximise=True, sampler=_random)

    def work(values: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        seen = try_candidates(
            setting.name, [setting.space.candidate(values)], train, (setting.seed,), setting.data,
            lambda *_: None, until=train.epochs, device=setting.device, precision=setting.precision,
        )  # fmt: skip
        return float(seen.accuracy_S[0]), values

    done: list[tuple[float, dict[str, Any]]] = []
    with ThreadPoolExecutor(CORES) as pool:
        while clock() < ends:
            done += pool.map(work, [drawn.ask()[1] for _ in range(CORES)])
    return max(done, key=lambda each: each[0])[1], len(done)


def _random(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def plain_loop(setting: Setting, seconds: float) -> Found:
    """Optuna around the training loop of a tutorial, tensors in memory, all threads."""
    size = setting.tree.train.batch_size
    return _optuna(setting, seconds, in_memory(tensors(setting.data.train), size))


def data_loader(setting: Setting, seconds: float) -> Found:
    """The same around torchvision's MNIST and a DataLoader without workers, the faster way here."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MNIST").mkdir()
        (Path(folder) / "MNIST/raw").symlink_to(ROOT / "data/raw/MNIST")
        transform = transforms.Compose([transforms.ToTensor(), torch.nn.Flatten(0)])
        images = datasets.MNIST(folder, train=True, transform=transform)
    examples = torch.utils.data.Subset(images, range(len(setting.data.train.inputs)))
    size = setting.tree.train.batch_size
    loader = torch.utils.data.DataLoader(examples, size, shuffle=True)
    return _optuna(setting, seconds, lambda: iter(loader))


def _optuna(setting: Setting, seconds: float, batches: Batches) -> Found:
    ends, done = clock() + seconds, 0
    asked = Proposer(setting.space, setting.seed, maximise=True)
    validation = tensors(setting.data.validation)
    best: tuple[float, dict[str, Any]] = (-1.0, {})
    while clock() < ends:
        number, values = asked.ask()
        settings = setting.space.candidate(values).settings()
        *_, accuracy = plain_epochs(
            settings, setting.tree.train, len(setting.data.train.inputs), batches, validation
        )
        asked.tell(number, accuracy)
        best, done = max(best, (accuracy, values), key=lambda each: each[0]), done + 1
    return best[1], done


def ray_tune(setting: Setting, seconds: float) -> Found:
    """Random candidates in that loop, a process on each core, stopped early by ASHA."""
    import ray
    from ray import tune

    tree, today = setting.tree, setting.tree.models[setting.name].settings()
    train = tree.train
    draws: dict[str, Any] = {}
    for key in setting.space.today:
        searched = tree.tune[key]
        if isinstance(searched, Range):
            draw = tune.loguniform if searched.log else tune.uniform
            draws[key] = draw(searched.low, searched.high)
        else:
            draws[key] = tune.choice(searched)

    def trainable(config: dict[str, Any], examples: Examples, validation: Examples) -> None:
        torch.set_num_threads(1)
        batches = in_memory(examples, train.batch_size)
        for accuracy in plain_epochs(
            {**today, **config}, train, len(examples[0]), batches, validation
        ):
            tune.report({"accuracy": accuracy})

    ray.init("local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    examples = {
        "examples": tensors(setting.data.train), "validation": tensors(setting.data.validation)
    }  # fmt: skip
    results: Any = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, **examples), {"cpu": 1}),
        param_space=draws,
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", num_samples=-1, time_budget_s=seconds,
            reuse_actors=True,  # no new process for each candidate
            scheduler=tune.schedulers.ASHAScheduler(max_t=train.epochs),
        ),
        run_config=tune.RunConfig(storage_path=str(Path.cwd()), verbose=0),
    ).fit()  # fmt: skip
    tried = [each for each in results if each.metrics and "accuracy" in each.metrics]
    return results.get_best_result(scope="last").config, len(tried)


def tensors(split: Split) -> Examples:
    """Inputs [N, features] from 0 to 1, and labels [N]."""
    return (
        torch.from_numpy(np.array(split.inputs)).flatten(1).float() / 255,
        torch.from_numpy(np.array(split.labels)).long(),
    )


def in_memory(examples: Examples, size: int) -> Batches:
    """Shuffled batches out of tensors."""
    images, labels = examples

    def batches() -> Iterator[Examples]:
        for chosen in torch.randperm(len(images)).split(size):
            yield images[chosen], labels[chosen]

    return batches


def plain_epochs(
    settings: dict[str, Any],
    train: TrainParams,
    examples: int,
    batches: Batches,
    validation: Examples,
) -> Iterator[float]:
    """Trains one candidate on one seed; yields its accuracy on validation after every epoch."""
    images, answers = validation
    layers: list[torch.nn.Module] = []
    width = images.shape[1]
    for units in settings["hidden"]:
        layers += [
            torch.nn.Linear(width, units), torch.nn.ReLU(), torch.nn.Dropout(settings["dropout"])
        ]  # fmt: skip
        width = units
    network = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))
    optimizer = torch.optim.Adam(
        network.parameters(), settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    steps = train.epochs * math.ceil(examples / train.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: decay(settings["schedule"], min(step / steps, 1))
    )
    for _ in range(train.epochs):
        network.train()
        for inputs, labels in batches():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs), labels).backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            yield float((network(images).argmax(1) == answers).double().mean())


CONTENDERS: dict[str, Callable[[Setting, float], Found]] = {
    "tune.py": ours,
    "random search, separate stacks": separate_stacks,
    "Optuna, plain torch loop": plain_loop,
    "Optuna, torch loop with a DataLoader": data_loader,
    RAY: ray_tune,
}


# --- measuring -----------------------------------------------------------------------------------


def main() -> None:
    """Measures all in turns; writes benchmarks/results/tuning.json."""
    parser = entry.parser()
    parser.add_argument("--serve", nargs=3, metavar=("WHO", "SECONDS", "SEED"))
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 60.0, 120.0])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if options.serve:
        who, seconds, seed = options.serve
        print(json.dumps(one(who, float(seconds), int(seed))))
        return
    rows: list[dict[str, Any]] = []
    load = os.getloadavg()[0]
    for number in range(options.rounds):
        for seconds in options.seconds:
            for who in CONTENDERS:
                command = ["-m", "benchmarks.tuning", "--serve", who, str(seconds), str(number)]
                answer = subprocess.run(
                    [sys.executable, *command], cwd=ROOT, check=True, encoding="utf-8",
                    env={**os.environ, **FOR_RAY},
                    stdout=subprocess.PIPE,
                ).stdout  # fmt: skip
                rows.append(json.loads(answer.splitlines()[-1]))
                print(rows[-1], flush=True)
                write_json(
                    RESULTS / "tuning.json",
                    {"versions": versions(), "cores": os.cpu_count(), "load": load, "rows": rows},
                )
    print(table(rows))


def one(who: str, seconds: float, seed: int) -> dict[str, Any]:
    """One search, and the trial of what it found."""
    setting = Setting(seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        timed = time.perf_counter if who == RAY else clock
        began = timed()
        values, tried = CONTENDERS[who](setting, seconds)
        took = timed() - began
        difference = paired(*(tested(setting, each) for each in (values, {})))
    return {
        "who": who, "seconds": seconds, "took": round(took, 1), "round": seed, "candidates": tried,
        "candidates_per_second": tried / took, "values": values, "gain": difference.estimate,
        "interval": difference.interval,
    }  # fmt: skip


def tested(setting: Setting, values: dict[str, Any]) -> Any:
    """Test accuracy on ten seeds that no contender trains on."""
    seeds = fresh(setting.seed, "trial", setting.name, SEEDS)
    train = setting.tree.train.model_copy(update={"seeds": seeds})
    return train_model(
        setting.name, setting.space.candidate(values), train, setting.data, lambda _: None,
        device=setting.device, precision=setting.precision, workers=CORES,
    ).test.accuracy_S  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians over rounds, with their range, as Markdown."""
    lines = [
        "| what | seconds | candidates a second | tune.py does | gain on test, pp |",
        "|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((row["seconds"], row["who"]) for row in rows)
    for seconds, who in keys:
        own = [row for row in rows if (row["seconds"], row["who"]) == (seconds, who)]
        first = [row for row in rows if (row["seconds"], row["who"]) == (seconds, "tune.py")]
        rates = [row["candidates_per_second"] for row in own]
        ratios = [a["candidates_per_second"] / b for a, b in zip(first, rates, strict=False)]
        gains = [100 * row["gain"] for row in own]
        lines.append(
            f"| {who} | {seconds:g} | {statistics.median(rates):.2f} | "
            f"{statistics.median(ratios):.1f} x | {statistics.median(gains):+.2f} "
            f"({min(gains):+.2f} to {max(gains):+.2f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
