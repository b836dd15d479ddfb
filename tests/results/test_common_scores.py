"""Common scores beside scikit-learn's."""

import numpy as np
import pytest
from samples import scored_examples
from sklearn import metrics as reference

from lab.results import common_scores as metrics

# Classes, examples, classes that no example has.
SHAPES = [(2, 50, ()), (3, 40, (1,)), (10, 500, ()), (10, 60, (0, 9)), (300, 400, (7, 299))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_own_scores_agree_with_scikit_learn(shape, seed):
    probabilities, predictions, labels = given = scored_examples(*shape, seed=seed)
    classes = range(shape[0])
    recalls = reference.recall_score(labels, predictions, labels=np.unique(labels), average=None)

    assert metrics.macro_f1(*given) == pytest.approx(
        reference.f1_score(labels, predictions, average="macro"), rel=1e-12
    )
    assert metrics.balanced_accuracy(*given) == pytest.approx(
        reference.balanced_accuracy_score(labels, predictions), rel=1e-12
    )
    assert metrics.worst_class_recall(*given) == recalls.min()
    assert metrics.log_loss(*given) == pytest.approx(
        reference.log_loss(labels, probabilities, labels=classes), rel=1e-5
    )
    one_hot = np.eye(shape[0])[labels]  # the distance to it is twice what the right class lacks
    assert metrics.soft_accuracy(*given) == pytest.approx(
        1 - np.abs(one_hot - probabilities).sum(axis=1).mean() / 2, abs=1e-6
    )
    wanted = 1.0  # of five classes or fewer, of which scikit-learn warns
    if shape[0] > 5:
        wanted = reference.top_k_accuracy_score(labels, probabilities, k=5, labels=classes)
    assert metrics.top_5_accuracy(*given) == pytest.approx(wanted, rel=1e-12)


def test_certain_and_wrong_is_a_finite_loss():
    probabilities = np.array([[1, 0], [1, 0]], np.float32)
    labels = np.array([1, 1], np.uint8)

    assert 15 < metrics.log_loss(probabilities, probabilities.argmax(axis=1), labels) < 16


def test_of_equally_probable_classes_the_lowest_come_first():
    probabilities = np.full((10, 10), 0.1, np.float32)
    labels = np.arange(10, dtype=np.uint8)

    assert metrics.top_5_accuracy(probabilities, probabilities.argmax(axis=1), labels) == 0.5
