"""Matthews' correlation against values computed by hand."""

import numpy as np
import pytest

from task.metrics import matthews


@pytest.mark.parametrize(
    ("predictions", "labels", "value"),
    [
        ([0, 1, 1, 0], [0, 1, 1, 0], 1.0),
        ([1, 0, 0, 1], [0, 1, 1, 0], -1.0),
        ([1, 1, 1, 1], [0, 1, 1, 0], 0.0),
        # tp 3, tn 1, fp 1, fn 1: (3 * 1 - 1 * 1) / sqrt(4 * 4 * 2 * 2)
        ([1, 1, 1, 0, 0, 1], [1, 1, 1, 1, 0, 0], 0.25),
        # Right 4 of 6; called 3, 2, 1 and labelled 2, 2, 2 times.
        ([0, 0, 1, 1, 2, 0], [0, 0, 1, 2, 2, 1], (4 * 6 - 12) / np.sqrt((36 - 14) * (36 - 12))),
    ],
)
def test_matthews(predictions, labels, value):
    classes = 1 + max(*predictions, *labels)
    probabilities = np.eye(classes, dtype=np.float32)[predictions]

    found = matthews(probabilities, np.array(predictions), np.array(labels))

    assert found == pytest.approx(value)
