"""The work of a search that is handed out: a batch of candidates, trained in whatever process."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lab.base.params import ModelParams, Params
from lab.data.prepared import Prepared
from lab.parallel.work import OnEpoch, Seeds
from lab.results import scores
from lab.results.schema import Score
from lab.results.scores import Scored
from lab.training.checkpoints import Checkpoints
from lab.training.outcome import Classes, Epoch, Evaluation


@dataclass(frozen=True)
class Batch:
    """Candidates of one architecture, trained on one seed up to an epoch, as one program.

    `model` is the one whose candidates these are.
    """

    model: str
    numbers: tuple[int, ...]
    candidates: tuple[ModelParams, ...]
    seed: int
    until: int

    @property
    def seeds(self) -> Seeds:
        """The one."""
        return (self.seed,)


@dataclass(frozen=True)
class Tried:
    """What a batch came to: each candidate's history, and its score on validation (the judged one).

    A score is NaN if the candidate diverged. The test examples have no part in it.
    """

    of_candidates: tuple[tuple[Epoch, ...], ...]
    scores: tuple[float, ...]

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """All histories, one after the other."""
        return tuple(epoch for epochs in self.of_candidates for epoch in epochs)


def try_batch(
    tree: Params, job: Batch, data: Prepared, on_epoch: OnEpoch, *, has_checkpoints: bool
) -> Tried:
    """Trains one batch in this process, in checkpoints of each candidate's own."""
    from lab.training import device as devices  # torch; scripts that hand out work do without
    from lab.training.loop import try_candidates

    device, models = devices.choose_device(), job.candidates
    asked = models[0].precision or tree.train.precision
    precision = devices.choose_precision(asked, device, lambda _: None)
    kept = [
        Checkpoints(
            with_entry(tree, job.model, model), job.model, data.description,
            device=device.type, precision=precision, search=folder(job.model),
        )
        for model in models
    ]  # fmt: skip
    epochs: list[list[Epoch]] = [[] for _ in models]

    def note(k: int, epoch: Epoch) -> None:
        epochs[k].append(epoch)
        on_epoch(epoch)

    seen = try_candidates(
        job.model, models, tree.train, job.seeds, data, note,
        until=job.until, device=device, precision=precision, kept=kept if has_checkpoints else (),
    )  # fmt: skip
    losses_KE = [
        [each.train_loss_S[0] + each.validation_loss_S[0] for each in of_one] for of_one in epochs
    ]
    is_finite_K = [all(map(math.isfinite, losses)) for losses in losses_KE]
    where = f"{job.model}, validation"
    found = values(
        judged_of(tree), where, job.seeds * len(models), seen, data.validation.labels, is_finite_K
    )
    return Tried(tuple(map(tuple, epochs)), tuple(found))


def with_entry(tree: Params, name: str, model: ModelParams) -> Params:
    """The params with another entry for a model."""
    return tree.model_copy(update={"models": {**tree.models, name: model}})


def folder(model: str) -> str:
    """Where checkpoints of a search lie: where no model's own do, as no name begins with a dot."""
    return f".tuning/{model}"


def judged_of(tree: Params) -> Score:
    """The score that chooses.

    Raises:
        LabError: `compare.metric` names none.
    """
    return scores.judged(tree.compare, scores.declared(scores.own_metrics()))


def values(
    score: Score,
    where: str,
    seeds: Sequence[int],
    seen: Evaluation,
    labels_N: Classes,
    is_finite_S: Sequence[bool],
) -> list[float]:
    """The score of every row; NaN where it diverged."""
    from lab.training.scoring import calibration_error

    found = []
    for row, is_finite in enumerate(is_finite_S):
        if not is_finite:
            found.append(math.nan)
        elif score.name in ("accuracy", "loss"):
            found.append(float(getattr(seen, f"{score.name}_S")[row]))
        elif score.name == "calibration_error":
            correct_N = seen.predictions_SN[row] == labels_N
            found.append(calibration_error(seen.confidence_SN[row], correct_N))
        else:
            (own,) = [each for each in scores.own_metrics() if each.score.name == score.name]
            of_row = Scored(seen.probabilities_SNC[row : row + 1], labels_N)
            spread = scores.spreads([own], where, [seeds[row]], of_row)[score.name]
            found += spread.per_seed
    return found
