"""Labels that may be mistakes, by what models say of examples that they never saw.

The examples of training and validation are judged by models of the other folds, those of the test
split by the models of all folds. What counts is the probability of the given label, mean over
models: with labels flipped on purpose it found more of them than the rankings that correct it by
class. Source: Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068), which has others beside it.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lab.base.params import LabelParams, Params
from lab.checking.folds import Fold, Judges, held_out, labels_of, pooled, train_judges
from lab.data.prepared import Prepared
from lab.parallel import processes
from lab.parallel.work import killed
from lab.results.checks import MAX_CANDIDATES, Candidate, LabelResults, Place
from lab.training import stacks

Floats = NDArray[np.float64]
ShowEpoch = Callable[[str, tuple[int, ...], int, float], None]

JUDGE = "judge"  # the name of its model, in messages
DOUBTFUL = 0.5  # of the likeliest class's probability, below which a label is doubted


def plan(tree: Params, asked: LabelParams) -> tuple[Params, list[Judges]]:
    """The params under which the judges are trained, and all that is to be trained.

    Without early stopping, which would look at the labels that are to be judged.
    """
    train = tree.train.model_copy(update={"seeds": [*range(asked.seeds)], "epochs": asked.epochs})
    model = asked.model.model_copy(update={"patience": None})
    judges = tree.model_copy(update={"train": train, "models": {JUDGE: model}})
    folds = [Fold(number, asked.folds) for number in range(asked.folds)]
    return judges, [Judges(JUDGE, seeds, fold) for fold in folds for seeds in stacks.stacks(train)]


def probabilities(
    tree: Params, todo: Sequence[Judges], data: Prepared, workers: int, on_epoch: ShowEpoch
) -> tuple[Floats, Floats]:
    """Mean probabilities of what is pooled [N, C], and of the test split [T, C].

    Raises:
        LabError: the task's code fails, or processes were killed at every try.
    """
    done = dict(processes.on_this_machine(tree, todo, workers, on_epoch, train_judges))
    if lost := [stack for stack in todo if not done[stack]]:
        raise killed(lost)
    fold_N = held_out(labels_of(data), todo[0].fold.count)
    classes, seeds = len(data.description.class_names), len(tree.train.seeds)
    pool_NC = np.zeros((len(fold_N), classes))
    test_TC = np.zeros((len(data.test.labels), classes))
    for stack, part in done.items():
        if part:
            own = fold_N == stack.fold.number
            pool_NC[own] += part.trained.validation.probabilities_SNC.sum(axis=0) / seeds
            test_TC += part.trained.test.probabilities_SNC.sum(axis=0) / seeds / stack.fold.count
    return pool_NC, test_TC


def judged(asked: LabelParams, data: Prepared, pool_NC: Floats, test_TC: Floats) -> LabelResults:
    """The doubtful labels, those with the least probability first."""
    labels_N = np.concatenate([labels_of(data), data.test.labels]).astype(np.intp)
    probability_NC = np.concatenate([pool_NC, test_TC])
    rows = np.arange(len(labels_N))
    own_N, called_N = probability_NC[rows, labels_N], probability_NC.argmax(axis=1)
    most_N = probability_NC[rows, called_N]
    is_doubtful = own_N < DOUBTFUL * most_N
    order = np.lexsort((rows, -most_N, own_N))
    worst = order[is_doubtful[order]][:MAX_CANDIDATES]
    return LabelResults(
        schema_version=1,
        name=data.description.name,
        network=asked.model.network,
        folds=asked.folds,
        seeds=asked.seeds,
        examples=len(rows),
        doubtful=int(is_doubtful.sum()),
        accuracy=round(float((called_N == labels_N).mean()), 4),
        candidates=[
            Candidate(
                place=_place(data, int(row)),
                label=int(labels_N[row]),
                probability=_rounded(own_N[row]),
                called=int(called_N[row]),
                other=_rounded(most_N[row]),
            )
            for row in worst
        ],
    )


def unlooked(data: Prepared) -> LabelResults:
    """What stands there when nobody looked."""
    return LabelResults(
        schema_version=1, name=data.description.name, network="", folds=0, seeds=0, examples=0,
        doubtful=0, accuracy=None, candidates=[],
    )  # fmt: skip


def _rounded(probability: float) -> float:
    return round(min(1.0, max(0.0, float(probability))), 4)


def _place(data: Prepared, row: int) -> Place:
    """Where an example stands that is counted through what is pooled and the test split."""
    rows, train = pooled(data), len(data.train.labels)
    if row >= len(rows):
        return Place(portion="test", row=row - len(rows))
    row = int(rows[row])
    if row < train:
        return Place(portion="train", row=row)
    return Place(portion="validation", row=row - train)
