"""A training as MLflow runs: names, params, tags, metrics, notes."""

from collections.abc import Iterable, Mapping, Sequence

from lab.base.files import sha256
from lab.base.machine import environment_tags
from lab.base.params import Params
from lab.data.description import Description
from lab.data.prepared import Prepared
from lab.results import scores
from lab.results.schema import CurvePoint, ModelResults, Spread, Spreads
from lab.results.scores import Scored
from lab.results.storage import tracked
from lab.tracking import words
from lab.tracking.recording import ActiveRun, Dataset, RunSpec
from lab.tracking.sent import RESULTS_TAG
from lab.training import checkpoints
from lab.training.outcome import Epoch, Trained


def training_run(params: Params, model: str, data: Description, group: str = "") -> RunSpec:
    """A model's run with one nested run per seed, as it stands before training.

    Runs of one `train_parallel.py` share their `group`.
    """
    settings = {
        **params.models[model].settings(),
        **params.train.model_dump(),
        "seeds": ", ".join(map(str, params.train.seeds)),  # in one line of MLflow's tables
        "validation_size": params.dataset.validation_size,
        "split_seed": params.dataset.split_seed,
    }
    tags = {
        "model": model,
        "stage": f"train@{model}",
        "data_sha256": data.train.sha256,
        **({"group": group} if group else {}),
        **environment_tags(),
    }
    dataset = Dataset(name=data.name, digest=data.train.sha256, context="training")
    seeds = params.train.seeds
    return RunSpec(
        name=model,
        params=settings,
        tags={**tags, "seeds": ", ".join(map(str, seeds))},
        note=(
            f"**{model}** on {data.name}, {len(seeds)} seeds. Metrics are means over seeds, which "
            "are nested below; `report.html` among the artifacts has their spread, the confusion "
            f"matrix and the mistakes.{pull_request_line(tags)}\n\nReproduce: "
            f"`git checkout {tags.get('git_commit', '')}` and `dvc repro train@{model}`"
        ),
        dataset=dataset,
        children=[
            RunSpec(
                name=seed_name(model, seed),
                params={**settings, "seed": seed},
                tags={**tags, "seed": str(seed)},
                dataset=dataset,
            )
            for seed in seeds
        ],
        fingerprint=_fingerprint(params, [model], data),
        # Deleted last, so an earlier attempt may have finished its run, but not its stage.
        is_again=checkpoints.exist(model),
    )


def group_of(params: Params, data: Description) -> str:
    """The tag that joins the runs of a `train_parallel.py`, also when it takes two attempts."""
    return _fingerprint(params, list(params.models), data)[:12]


def _fingerprint(params: Params, models: Sequence[str], data: Description) -> str:
    parts = [checkpoints.fingerprint(params, model, data) for model in models]
    return sha256(f"{models} {parts} {params.train.seeds} {data.test.sha256}".encode())


def group_run(params: Params, models: Sequence[str], data: Description, group: str) -> RunSpec:
    """The run that stands for one `train_parallel.py`."""
    return RunSpec(
        name="train_parallel",
        params={**params.train.model_dump(), "models": ", ".join(models)},
        tags={"stage": "train_parallel", "group": group, **environment_tags()},
        note=(
            f"Models trained together: {', '.join(f'**{model}**' for model in models)}. Their runs "
            f"have the same group: search for `tags.group = '{group}'`."
        ),
        dataset=Dataset(name=data.name, digest=data.train.sha256, context="training"),
        fingerprint=f"train_parallel {group}",
        is_again=any(checkpoints.exist(model) for model in models),
    )


def pull_request_line(tags: Mapping[str, str]) -> str:
    """The way from a run to its pull request, in Markdown; nothing where there is none."""
    address = tags.get("pull_request_url", "")
    return f"\n\n[Pull request {tags['pull_request']}]({address})" if address else ""


def seed_name(model: str, seed: int) -> str:
    """The name of one seed's run.

    >>> seed_name("relu_128", 3)
    'relu_128 seed 3'
    """
    return f"{model} seed {seed}"


def log_epoch(active: ActiveRun, model: str, epoch: Epoch) -> None:
    """Sends one epoch of some seeds to their runs."""
    for index, seed in enumerate(epoch.seeds):
        values = {
            "train_loss": float(epoch.train_loss_S[index]),
            "validation_loss": float(epoch.validation_loss_S[index]),
            "validation_accuracy": float(epoch.validation_accuracy_S[index]),
        }
        active.metrics(values, step=epoch.number, child=seed_name(model, seed))


def own_scores(model: str, trained: Trained, data: Prepared) -> dict[str, Spreads]:
    """The scores of task/metrics.py by split; none where it fails, which is said."""
    validation, test = trained.validation.probabilities_SNC, trained.test.probabilities_SNC
    splits = {
        "validation": Scored(validation, data.validation.labels),
        "test": Scored(test, data.test.labels),
    }
    return scores.if_possible(model, trained.seeds, splits)


def log_results(
    active: ActiveRun,
    run: ModelResults,
    curve: list[CurvePoint],
    cost: Mapping[str, float],
    own: Mapping[str, Spreads],
) -> None:
    """Sends the final numbers: means to the model's run, single values to its seeds.

    `own` are the scores of task/metrics.py by split.
    """
    active.tags(
        {
            "device": run.device,
            "precision": run.precision,
            RESULTS_TAG: sha256(tracked(run.model)[0].read_bytes()),
            words.TEST: words.with_interval(run.test.accuracy),
            words.VALIDATION: words.percent(run.validation.accuracy.mean),
            words.COST: words.cost_in_words(cost),
        }
    )
    active.trained(run.model)  # so that what follows is what MLflow says of the model as well
    points = [_on_curve(point) for point in curve]
    final = means("test", run.test) | means("validation", run.validation)
    for split in own:
        final |= means(split, own[split].items())
    # First what matters, as MLflow's pages show metrics in the order of their first points. They
    # draw a bar of what has no other step than 0, and a single dot of all else.
    active.metrics({name: final[name] for name in final if name not in points[-1]}, step=0)
    for point, values in zip(curve, points, strict=True):
        active.metrics(values, step=point.epoch)
    for index, seed in enumerate(run.seeds):
        values = {
            f"test_{score}": spread.per_seed[index]
            for score, spread in (*run.test, *own.get("test", {}).items())
        }
        active.metrics(values, step=0, child=seed_name(run.model, seed))


def _on_curve(point: CurvePoint) -> dict[str, float]:
    """The means of an epoch; their spread is drawn in `learning_curves.png`."""
    return {
        key: value
        for key, value in point._asdict().items()
        if value is not None and key != "epoch" and not key.endswith("_sd")
    }


def means(split: str, of_model: Iterable[tuple[str, Spread]]) -> dict[str, float]:
    """Means of scores over seeds as metrics; what has no curve but an interval stands in a tag."""
    return {f"{split}_{score}": spread.mean for score, spread in of_model}
