"""What `tune:` may say, and what is proposed from it."""

import pytest
from support import SMALL

from lab.base import params
from lab.base.errors import LabError, ParamsError
from lab.tuning.space import Proposer, Space

CNN = """  cnn_2:
    {network: cnn, channels: [2], optimizer: adam, learning_rate: 0.01, schedule: linear,
     weight_decay: 0.0}
"""


def tree(tune: str, models: str = "") -> params.Params:
    text = SMALL.replace("compare:", models + "compare:") + f"tune: {tune}\n"
    return params.parse(text.encode(), "params.yaml")


def test_files_without_the_section_are_read_and_have_nothing_to_search():
    assert params.parse(SMALL.encode(), "params.yaml").tune == {}
    with pytest.raises(ParamsError, match="tune: must have a key of relu_8 at least; got none"):
        Space(params.parse(SMALL.encode(), "params.yaml"), "relu_8")


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ("{learning_rate: {low: 0.1, high: 0.01}}", "tune.learning_rate: low must be below high"),
        ("{learning_rate: {low: 0.1, high: 0.1}}", "tune.learning_rate: low must be below high"),
        ("{learning_rate: {low: 0, high: 0.1, log: true}}", "with log, low must be above 0; got 0"),
        ("{learning_rate: {low: .nan, high: 0.1}}", "low must be a finite number; got nan"),
        ("{learning_rate: {low: 0.1, high: .inf}}", "high must be a finite number; got inf"),
        ("{learning_rate: {low: 0.1, high: x}}", "high must be a finite number; got 'x'"),
        ("{learning_rate: {low: 0.1, high: true}}", "high must be a finite number; got True"),
        ("{learning_rate: {low: 0.1, high: 1, log: 1}}", "log must be true or false; got 1"),
        (f"{{learning_rate: {{low: 1{'0' * 400}, high: 1}}}}", "low must be a finite number"),
        ("{hidden: [{1: 2, a: 3}, {1: 2, a: 3}]}", "tune.hidden: a choice stands twice"),
        ("{learning_rate: {low: 0.1}}", "must be a list of choices, or a range"),
        ("{learning_rate: {low: 0.1, hihg: 1}}", "must be a list of choices, or a range"),
        ("{learning_rate: 0.1}", "must be a list of choices, or a range"),
        ("{learning_rate: [0.1]}", "must have 2 to 100 choices; got 1"),
        ("{learning_rate: []}", "must have 2 to 100 choices; got 0"),
        ("{schedule: [linear, linear]}", "tune.schedule: a choice stands twice; remove one"),
        ("[1]", "tune: must be a mapping of keys to values"),
    ],
)
def test_what_is_no_range_and_no_list_is_one_line(tune, message):
    with pytest.raises(ParamsError) as caught:
        tree(tune)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("params.yaml: tune")


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ("{network: [cnn, feed_forward]}", "tune.network: cannot be searched"),
        ("{seeds: [[1], [2]]}", "tune.seeds: must be a key of a model; got one of `train`"),
        ("{epochs: {low: 1, high: 9}}", "tune.epochs: must be a key of a model"),
        ("{learning_rat: [0.1, 0.2]}", "tune.learning_rat: unknown key of any model; did you mean "
         "learning_rate?"),
        ("{schedule: [linear, lineal]}", "tune.schedule: input should be 'constant', 'linear' or "
         "'cosine'; got 'lineal'"),
        ("{learning_rate: {low: 0.0, high: 0.1}}", "tune.learning_rate: input should be greater "
         "than 0; got 0.0"),
        ("{learning_rate: [0.1, fast]}", "tune.learning_rate: must be a number; got 'fast'"),
        ("{hidden: [8, 16]}", "tune.hidden: must be a list; got 8"),
        ("{hidden: [[8], [0]]}", "tune.hidden.0: input should be greater than or equal to 1"),
        ("{dropout: {low: 0.5, high: 1.5}}", "tune.dropout: input should be less than 1; got 1.5"),
        ("{augmentation: [none, shift]}", "augmentation"),
        ("{channels: [[2], [4]]}", "tune.channels: unknown key of any model"),
    ],
)  # fmt: skip
def test_what_no_model_could_have_is_one_line_before_training(tune, message):
    with pytest.raises(LabError) as caught:
        Space(tree(tune), "relu_8")

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_not_there():
    with pytest.raises(ParamsError, match="unknown model; got 'relu_9'; use one of relu_8"):
        Space(tree("{learning_rate: [0.1, 0.2]}"), "relu_9")


def test_one_space_serves_all_models_and_what_one_lacks_is_left_out():
    both = tree("{learning_rate: [0.1, 0.2], channels: [[2], [4]], hidden: [[8], [9]]}", CNN)

    assert Space(both, "relu_8").keys == ["learning_rate", "hidden"]
    assert Space(both, "relu_8").left_out == ["channels"]
    assert Space(both, "cnn_2").keys == ["learning_rate", "channels"]


def test_proposals_lie_within_and_are_the_same_for_the_same_seed():
    space = Space(
        tree(
            "{learning_rate: {low: 0.001, high: 0.1, log: true}, patience: {low: 1, high: 3}, "
            "hidden: [[8], [9, 9]], clip_norm: [null, 1.0]}"
        ),
        "relu_8",
    )

    def proposed() -> list:
        proposer = Proposer(space, 5, maximise=True)
        found = []
        for _ in range(40):
            number, values = proposer.ask()
            proposer.tell(number, float("nan") if number % 5 == 0 else values["learning_rate"])
            found.append(values)
        return found

    found = proposed()

    assert found == proposed()
    assert all(0.001 <= values["learning_rate"] <= 0.1 for values in found)
    assert {values["patience"] for values in found} == {1, 2, 3}
    assert {str(values["hidden"]) for values in found} == {"[8]", "[9, 9]"}
    assert all(len(f"{values['learning_rate']:.12g}") <= 9 for values in found)
    assert [space.candidate(values).settings()["hidden"] for values in found]
