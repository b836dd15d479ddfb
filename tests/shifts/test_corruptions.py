import numpy as np
import pytest

from lab.shifts.corruptions import corruptions

RANDOM = np.random.default_rng(0)
CROSS = np.zeros((1, 5, 5), np.uint8)
CROSS[0, 2, :] = CROSS[0, :, 2] = 200
TEXT = np.array([[101, 7, 8, 9, 102, 0, 0], [101, 5, 102, 0, 0, 0, 0]])
CASES = {
    "grey image": RANDOM.integers(0, 256, (6, 28, 28)).astype(np.uint8),
    "colour image": RANDOM.random((6, 3, 12, 9), np.float32),
    "row": RANDOM.normal(size=(6, 4)).astype(np.float32),
    "text": np.repeat(TEXT, 3, axis=0),
}


def changed(name, kind, inputs, seed=0):
    return corruptions(kind, inputs.shape[1:])[name](inputs, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", CASES)
def test_shape_type_and_the_given_inputs_stay_and_the_generator_decides(kind):
    inputs = CASES[kind]
    before = inputs.copy()

    for name, corrupt in corruptions(kind, inputs.shape[1:]).items():
        found, again = (corrupt(inputs, np.random.default_rng(3)) for _ in range(2))
        assert (found.shape, found.dtype) == (inputs.shape, inputs.dtype), name
        assert found.tobytes() == again.tobytes() != inputs.tobytes(), name
        assert not np.shares_memory(found, inputs), name

    assert np.array_equal(inputs, before)


def test_only_colours_have_channels():
    assert "channels swapped" not in corruptions("grey image", [28, 28])
    inputs = CASES["colour image"]
    assert np.array_equal(changed("channels swapped", "colour image", inputs), inputs[:, ::-1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("darker", [0, 70, 140, 178]),
        ("brighter", [26, 126, 226, 255]),
        ("inverted", [255, 155, 55, 0]),
        ("0 to 1 in place of 0 to 255", [0, 0, 1, 1]),
    ],
)
def test_values_worked_by_hand(name, expected):
    inputs = np.array([[[0, 100], [200, 255]]], np.uint8)

    assert changed(name, "grey image", inputs).ravel().tolist() == expected


def test_a_blur_is_the_binomial_of_its_passes():
    inputs = np.zeros((1, 9, 9), np.float32)
    inputs[0, 4, 4] = 1
    row = np.array([1, 6, 15, 20, 15, 6, 1]) / 64

    found = changed("blur", "grey image", inputs)
    assert found[0, 1:8, 1:8] == pytest.approx(np.outer(row, row))


def test_a_rotation_is_that_of_an_independent_formula():
    from scipy.ndimage import rotate

    inputs = CASES["grey image"]
    for angle in (5, 15, 30):
        found = changed(f"rotated by {angle} degrees", "grey image", inputs)
        wanted = rotate(
            inputs.astype(np.float64), angle, axes=(2, 1), reshape=False, order=1, mode="nearest"
        )
        middle = np.s_[:, 5:23, 5:23]
        assert np.abs(found[middle] - wanted[middle]).max() <= 0.51, angle


def test_a_shift_moves_down_and_right():
    found = changed("shifted", "grey image", CROSS)

    assert np.flatnonzero(found[0, :, 0]).tolist() == [3]
    assert np.flatnonzero(found[0, 0]).tolist() == [3]


def test_of_rows_one_column_changes():
    inputs = CASES["row"]
    for name in ("one column missing", "another unit"):
        found = changed(name, "row", inputs)
        assert (found != inputs).any(axis=0).sum() == 1, name


def test_of_texts_marks_and_padding_stay():
    for seed in range(20):
        shuffled = changed("words shuffled", "text", TEXT, seed)
        assert shuffled[0, [0, 4, 5, 6]].tolist() == [101, 102, 0, 0]
        assert sorted(shuffled[0, 1:4].tolist()) == [7, 8, 9]
        assert shuffled[1].tolist() == TEXT[1].tolist()
        dropped = changed("words dropped", "text", TEXT, seed)
        kept = [int(token) for token in dropped[0] if token]
        assert kept[0] == 101
        assert kept == [token for token in TEXT[0].tolist() if token in kept]

    assert changed("cut in half", "text", TEXT).tolist() == [
        [101, 7, 8, 0, 0, 0, 0],
        [101, 5, 0, 0, 0, 0, 0],
    ]
