import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import SMALL, TINY

from lab.base import params
from lab.base.errors import ParamsError


def refusal(old: str, new: str) -> str:
    assert old in SMALL
    with pytest.raises(ParamsError) as caught:
        params.parse(SMALL.replace(old, new, 1).encode(), "params.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_valid_params_are_read():
    tree = params.load(TINY / "params.yaml")

    assert list(tree.models) == ["relu_8", "linear_4"]
    assert tree.train.seeds == [0, 1, 2]
    assert tree.models["relu_8"].own == {"hidden": [8], "activation": "relu", "dropout": 0.0}
    assert tree.dataset.own == {}


# where, rule, value got, what to do
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "learning_rate:",
            "learning_rat:",
            "params.yaml: models.relu_8.learning_rat: unknown key; got 0.01; "
            "did you mean learning_rate?",
        ),
        (
            "compare:",
            "zzz: 1\ncompare:",
            "params.yaml: zzz: unknown key; got 1; remove it",
        ),
        (
            "learning_rate: 0.01, ",
            "",
            "params.yaml: models.relu_8.learning_rate: missing key; add it",
        ),
        (
            "learning_rate: 0.01",
            'learning_rate: "0.01"',
            "params.yaml: models.relu_8.learning_rate: must be a number; got '0.01'; "
            "correct the value",
        ),
        (
            "weight_decay: 0.0",
            "weight_decay: -1.0",
            "params.yaml: models.relu_8.weight_decay: input should be greater than or equal to 0; "
            "got -1.0; correct the value",
        ),
        (
            "optimizer: adam",
            "optimizer: adem",
            "params.yaml: models.relu_8.optimizer: input should be 'adam', 'adamw' or 'sgd'; "
            "got 'adem'; correct the value",
        ),
        (
            "[0, 1, 2]",
            "[]",
            "params.yaml: train.seeds: list should have at least 1 item after validation, not 0; "
            "got []; correct the value",
        ),
        (
            "[0, 1, 2]",
            "[0, 1, 1]",
            "params.yaml: train.seeds: seeds must differ, but 1 stands twice; remove one",
        ),
        (
            "linear_4:",
            "a.b:",
            "params.yaml: models.a.b: a model's name takes letters, digits, _ and - (64 at most); "
            "got 'a.b'; rename it",
        ),
        (
            "linear_4:",
            "RELU_8:",
            "params.yaml: models relu_8 and RELU_8 differ only in upper and lower case; "
            "rename one",
        ),
        ("epochs: 1", "epochs: 5.5", "params.yaml: train.epochs: must be a whole number; got 5.5; "
                                     "correct the value"),
        ("epochs: 1", "epochs: true", "params.yaml: train.epochs: must be a whole number; "
                                      "got True; correct the value"),
        ("margin: 0.001", "margin: .nan", "params.yaml: compare.margin: must be a finite number; "
                                          "got nan; correct the value"),
        ("was: {}", "was: {rely_8: old}",
         "params.yaml: compare.was.rely_8: must be a model of this file, its former name behind "
         "the colon; got rely_8; did you mean relu_8?"),
        ("was: {}", "was: {a.b: old}",
         "params.yaml: compare.was.a.b: a model's name takes letters, digits, _ and - (64 at "
         "most); got 'a.b'; rename it"),
        ("was: {}", "was: {relu_8: 5}", "params.yaml: compare.was.relu_8: must be text; got 5; "
                                        "correct the value"),
        ("was: {}", "was: {relu_8: old, linear_4: old}", "params.yaml: compare: was: relu_8 and "
                                                         "linear_4 cannot both have been old; "
                                                         "remove one"),
        ("was: {}", "budget: 40.0",
         "params.yaml: compare.budget: must be a whole number; got 40.0; correct the value"),
        ("was: {}", "budget: -1",
         "params.yaml: compare.budget: input should be greater than or equal to 0; got -1; "
         "correct the value"),
        ("was: {}", "wass: {}",
         "params.yaml: compare.wass: unknown key; got {}; did you mean was?"),
        ("hidden: [8]", "hidden: &a [8]", "params.yaml:13:37: not valid YAML: anchors (&) "
                                              "are not read, write the values out; fix that line"),
        ("epochs: 1", "epochs: [5", "params.yaml:9:13: not valid YAML: expected ',' or ']', "
                                    "but got ':'; fix that line"),
    ],
)  # fmt: skip
def test_each_slip_is_reported_in_one_line(old, new, message):
    assert refusal(old, new) == message


def test_a_network_without_a_file_is_reported_with_the_known_ones(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(SMALL.replace("network: feed_forward", "network: resnet", 1), encoding="utf-8")

    with pytest.raises(ParamsError, match=r"models.relu_8.network: must be a file of task/netw"):
        params.load(path)


def test_former_names_of_models_may_be_left_out_or_be_of_any_kind():
    older = params.parse(SMALL.replace("  was: {}\n", "").encode(), "p")
    renamed = params.parse(SMALL.replace("was: {}", "was: {relu_8: v1.old}").encode(), "p")

    assert older.compare.was == {}
    assert renamed.compare.was == {"relu_8": "v1.old"}


def test_without_a_budget_nothing_is_trained_for_a_comparison():
    assert params.parse(SMALL.encode(), "p").compare.budget == 0
    assert params.parse(SMALL.replace("was: {}", "budget: 40").encode(), "p").compare.budget == 40


def test_a_key_given_twice_is_refused():
    assert 'duplicate key "epochs"' in refusal("  epochs: 1", "  epochs: 1\n  epochs: 6")


def test_numbers_are_read_as_dvc_reads_them():
    # YAML 1.1 readers (PyYAML) take 1e-3 for text, DVC takes it for a number.
    text = SMALL.replace("learning_rate: 0.01", "learning_rate: 1e-3", 1)

    assert params.parse(text.encode(), "p").models["relu_8"].learning_rate == 0.001


def test_an_unknown_model_is_reported_with_the_known_ones():
    tree = params.parse(SMALL.encode(), "params.yaml")

    with pytest.raises(ParamsError, match=r"unknown model; got 'resnet'; use one of relu_8, lin"):
        tree.model("resnet")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"- a\n- b\n", b"null", b"a" * 2_000_000, b"[" * 5_000, b"%YAML 9.9"],
)
def test_what_is_not_params_at_all_is_refused(content):
    with pytest.raises(ParamsError):
        params.parse(content, "params.yaml")


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ParamsError, match=r"no such file; run from the repository's root"):
        params.load(tmp_path / "params.yaml")


@given(st.integers(0, len(SMALL) - 1), st.text(max_size=6), st.integers(0, 12))
def test_any_edit_is_either_valid_or_refused_in_one_line(position, inserted, removed):
    text = SMALL[:position] + inserted + SMALL[position + removed :]
    message = ""
    try:
        params.parse(text.encode(errors="surrogatepass"), "params.yaml")
    except ParamsError as error:
        message = str(error)
    assert message == "" or message.startswith("params.yaml")
    assert len(message) < 500
