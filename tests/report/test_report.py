import os
import subprocess
import sys
from pathlib import Path

import pytest
from evidences import (
    OWN,
    SCORES,
    colour,
    confused,
    data,
    data_check,
    evidence,
    example,
    exported,
    flips,
    form,
    made,
    model,
    on_seeds,
    row,
    shifted,
    side,
    split,
    text,
    trial,
    with_own,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import ROOT

import report as script
from lab.ci.gate import conclude
from lab.evidence.schema import Evidence
from lab.report import page
from lab.report.document import Picture
from lab.report.judgement import judge, seeds_wanted
from lab.report.notes import Notes

GOLDEN = ROOT / "tests/golden"
PICTURES = [Picture("differences", "Differences"), Picture("images", "Images")]


def written(given: Evidence, notes: Notes | None = None, pictures: str | None = "") -> str:
    return page.to_markdown(given, judge(given), PICTURES, notes or Notes(), pictures)


def two_seeds():
    return model("relu_128", side(0.98, seeds=[0, 1]), side(0.97, seeds=[0, 1]))


def made_twice(given, shift):
    """The model with what another machine made of it, which git holds: better by `shift`."""
    held = {**given["candidate"], "curve": None, "cost": None}
    held["test"] = {
        **held["test"],
        "accuracy": [round(value + shift, 6) for value in held["test"]["accuracy"]],
        "calibration_error": [0.005] * len(held["seeds"]),
    }
    return {**given, "committed": held}


def of_kind(kind, names, *inputs):
    """A comparison on data of some kind and classes."""
    model = shifted(0.005, 0.0005)
    for which, shift in (("candidate", 1), ("baseline", 0)):
        counts = [[0] * len(names) for _ in names]
        for label, counted in enumerate(counts):
            counted[label] = 100 + shift * (label % 7)
            counted[(label + 1) % len(names)] += 10 + (1 - shift) * label
        model[which] |= confused(counts)
    if len(names) > 100:
        model["moved"] = [
            {"actual": label, "predicted": label + 1, "baseline": 10 + label, "candidate": 10}
            for label in range(40)
        ]
    described = data(kind=kind, names=names)
    return made(
        model,
        class_names=names,
        candidate_data=described,
        baseline_data={**described, "train": split(53_900, "e", len(names))},
        examples=[
            example(index, label=0, before=1, after=0, given=given)
            for index, given in enumerate(inputs)
        ],
    )


def changed(given, **more):
    """The evidence with fields of `candidate` or `baseline` replaced."""
    for section, values in more.items():
        given[section] = {**given[section], **values}
    return Evidence.model_validate(given)


STALE_STAGE = {
    "name": "train@relu_128",
    "state": "stale",
    "reasons": ["lab/training/loop.py changed"],
}
NOTHING = {"params": [], "params_total": 0, "code": [], "code_total": 0, "packages": [],
           "packages_total": 0}  # fmt: skip
LOST = "metrics/runs/relu_128.json is missing"

LOOKS = {"looks": [10, 20, 40], "budget": 40, "baseline_budget": 40}
ANCHOR = {"commit": "3" * 40, "name": "v1.2.0", "missing": None}
IMAGES = {"seeds": 20, "examples": 10_000, "estimate": 0.0021, "ms_seeds": 0.0144,
          "ms_examples": 0.18, "ms_residual": 0.009}  # fmt: skip
SOFT = {"name": "soft_accuracy", "unit": "%", "higher_is_better": True}


def on(seeds, mean, sd=0.003, phase=1):
    """Test scores as a trial has them; two phases of the spread do not go along with each other."""
    accuracy = [round(mean + sd * (-1) ** (index // phase), 6) for index in range(len(seeds))]
    soft = [round(value - 0.003, 6) for value in accuracy]
    loss = [round(2 * (1 - value), 6) for value in accuracy]
    return {"seeds": [*seeds], "test": {"accuracy": accuracy, "loss": loss, "soft_accuracy": soft}}


FRESH = range(100_000, 100_020)
CONFIRMED = {
    **LOOKS,
    "confirmation": 2,
    "anchor": ANCHOR,
    "scores": [*SCORES, SOFT],
    "trial": trial(
        {"relu_128": on(FRESH, 0.9721, 0.0005), "linear_64": on(FRESH[:10], 0.9701, 0.0004)},
        {"relu_128": on(FRESH, 0.97, 0.0005, 3), "linear_64": on(FRESH[:10], 0.97, 0.0004, 3)},
        kind="fresh",
        seeds_trained=60,
        wall_seconds=58.25,
    ),
}
# Every verdict, and every thing that may be missing.
CASES = {
    "improved": lambda: made(shifted(0.005, 0.0005), shifted(0.0001, 0.0005, "linear_64")),
    "regressed": lambda: made(shifted(-0.005, 0.0005)),
    "equivalent": lambda: made(shifted(0.0001, 0.0005)),
    "real_within": lambda: made(shifted(0.0005, 0.0005)),
    "size_unclear": lambda: made(shifted(0.0009, 0.0005)),
    "cannot_tell": lambda: made(shifted(0.0005, 0.003)),
    "not_resolved": lambda: made(
        shifted(0.0005, 0.003), **{**LOOKS, "looks": [10]},
        trial_missing="up to 30 more seeds a side take about 95 s",
    ),
    "budget_spent": lambda: made(
        shifted(0.0005, 0.003), shifted(0.005, 0.0005, "linear_64"), model("same", side(), side()),
        **LOOKS,
        scores=[*SCORES, SOFT],
        trial=trial({"relu_128": on(range(40), 0.9705)}, {"relu_128": on(range(40), 0.97, phase=3)},
                    seeds_trained=60, wall_seconds=58.25),
    ),
    "confirmed": lambda: made(
        {**shifted(0.002, 0.0005), "images": IMAGES, "anchor": on(FRESH, 0.969, phase=3)},
        shifted(0.0001, 0.0005, "linear_64"), **CONFIRMED,
        past=[{"estimate": 0.0004 * sign, "error": 0.0002} for sign in (-1, 1, 2, -2)] * 3,
    ),
    "not_confirmed": lambda: made(
        shifted(0.005, 0.0005), model("same", side(), side()), **LOOKS, confirmation=1,
        trial_missing="training on fresh seeds failed: `dvc repro train@relu_128` failed: no space",
    ),
    "below_the_anchor": lambda: made(
        {**shifted(-0.0002, 0.0003), "anchor": on_seeds(0.972)}, anchor=ANCHOR
    ),
    "anchor_without_a_say": lambda: made(
        shifted(0.0001, 0.0005), baseline_budget=40,
        anchor={**ANCHOR, "missing": "it was tested on other images"},
    ),
    "two_seeds": lambda: made(two_seeds()),
    "other_seeds": lambda: made(
        model("relu_128", side(0.975, seeds=range(10)), side(0.97, seeds=range(20, 25)))
    ),
    "identical": lambda: made(
        model("relu_128", side(), side()),
        changes=NOTHING,
        examples=[],
        flips=[{**flips(), "fixed": 0, "broken": 0, "still_wrong": 0}],
        stages=[{"name": "prepare", "state": "unchanged", "reasons": []}],
    ),
    "new_and_removed": lambda: made(
        model("wide", side()), model("old", baseline=side(cost=False)), examples=[], flips=[]
    ),
    "renamed": lambda: made(model("wide", side(), side(), renamed_from="narrow")),
    "worse_best": lambda: made(
        model("relu_128", baseline=side(0.98)),
        shifted(0.0001, 0.0005, "linear_64"),
        examples=[], flips=[],
    ),
    "renamed_and_broken": lambda: made(
        {**shifted(-0.05, 0.0005, "wide"), "renamed_from": "narrow"}, examples=[], flips=[]
    ),
    "made_elsewhere": lambda: made(
        made_twice(shifted(0.005, 0.0005), 0.0002), made_twice(shifted(0.0, 0.0, "same"), 0.0),
        made_twice(model("few", two_seeds()["candidate"]), 0.01),
    ),
    "not_reproduced": lambda: made(
        made_twice(shifted(-0.005, 0.0005), 0.01), shifted(0.0001, 0.0005, "linear_64")
    ),
    "baseline_not_made_here": lambda: changed(
        evidence(shifted(0.005, 0.0005)),
        baseline={
            "branch": "release/2",
            "reasons": [
                "its results were made on another machine (relu_128 on cuda, here on cpu)",
                "reproducing it failed: `dvc repro train@relu_128` failed: no space left",
            ],
        },
    ),
    "inherited_stale": lambda: changed(
        evidence(shifted(0.0001, 0.0005)),
        candidate={"inherited_stale": ["train@relu_128: train.epochs 1 → 2", "train@b: x"]},
    ),
    "stale_in_git_and_worse": lambda: changed(
        evidence(shifted(-0.005, 0.0005), model("old", baseline=side(0.96))),
        candidate={"committed_stale": ["train@relu_128: models.relu_128.dropout 0 → 0.1",
                                       "compare: compare.margin 0.1 → 0.001"]},
    ),
    "candidate_missing": lambda: made(
        model("relu_128", None, side(), candidate_missing=LOST), examples=[], flips=[]
    ),
    "no_baseline": lambda: changed(
        evidence(
            model("relu_128", side(cost=False), None, baseline_missing="it cannot be reproduced"),
            examples=[],
            flips=[],
            baseline_data=None,
        ),
        baseline={
            "origin": "none",
            "reasons": [LOST, "reproducing it failed: no pipeline"],
            "branch": None,
            "behind": None,
            "named": "v1",
        },
    ),
    "reproduced": lambda: changed(
        evidence(shifted(0.005, 0.0005)),
        baseline={
            "origin": "reproduced",
            "reasons": ["train@relu_128: lab/training/loop.py changed"],
        },
    ),
    "stale": lambda: made(
        {**shifted(0.005, 0.0005), "stale": ["train@relu_128: lab/training/loop.py changed"]},
        stages=[STALE_STAGE],
    ),
    "committed_stale": lambda: changed(
        evidence(shifted(0.005, 0.0005)),
        candidate={"committed_stale": ["train@relu_128: models.relu_128.dropout 0 → 0.1"]},
    ),
    "other_test_set": lambda: made(
        shifted(0.005, 0.0005),
        baseline_data={**evidence()["baseline_data"], "name": "KMNIST",
                       "test": {**evidence()["baseline_data"]["test"], "sha256": "d" * 64}},
    ),
    "other_split": lambda: made(
        shifted(0.005, 0.0005),
        baseline_data={**evidence()["baseline_data"], "train": {
            "examples": 54_000, "sha256": "e" * 64,
            "examples_per_class": [5_401, 5_399, *[5_400] * 8],
        }},
    ),
    "no_cost_no_flips": lambda: made(
        model("relu_128", side(0.98, cost=False), side(0.97, cost=False)),
        examples=[],
        flips=[flips(missing="the baseline's predictions are not in the DVC cache")],
    ),
    "uncommitted": lambda: changed(
        evidence(shifted(0.005, 0.0005), baseline_margin=0.002),
        candidate={"commit": "1" * 40, "uncommitted": ["params.yaml", "a|b`c"],
                   "uncommitted_total": 2},
    ),
    "same_revision": lambda: changed(
        evidence(model("relu_128", side(), side()), changes=NOTHING, examples=[], flips=[]),
        candidate={"commit": "1" * 40},
    ),
    "texts": lambda: of_kind(
        "text",
        [f"card_payment_fee_charged? {number}" for number in range(77)],
        text(),
        text("| `a` | <b>@all</b> $x$ 我的卡还没有到"),
    ),
    "data_checked": lambda: made(
        shifted(0.0001, 0.0005),
        baseline_data=data(train="d"),
        baseline_check=data_check(drift=["test differs from training: brightness by 0.12"]),
        candidate_check=data_check(
            1_130, 2, leakage=["3 images of test stand in training too", "`a` | <b>@all</b>"]
        ),
    ),
    "exported_in_part": lambda: made(
        shifted(0.0001, 0.0005),
        candidate_export=exported(
            form("model", 409_412, flips=3),
            form("model.int8", 105_920, 5_912, "regressed", "not `equivalent` | <b>@all</b>"),
            form("ensemble", None, None, None, "too large: 3,000,000,000 bytes"),
        ),
    ),
    "not_exported": lambda: made(
        shifted(0.0001, 0.0005),
        candidate_export=exported(reason="ONNX has not all that the network does (`x` | <b>y)"),
    ),
    "rows": lambda: of_kind("row", ["<=50K", ">50K"], row(), row(("größe", -0.00012, -2e6))),
    "many_classes": lambda: of_kind(
        "colour image", [f"Vögel/{number} (T-shirt)" for number in range(1_000)], colour()
    ),
    "other_class_names": lambda: made(
        shifted(0.0001, 0.0005), baseline_data=data(names=[f"|{name}|" for name in "0123456789"])
    ),
    "other_number_of_classes": lambda: changed(
        evidence(shifted(0.0001, 0.0005), examples=[], flips=[]),
        baseline_data=data(names=["a", "b"], train="d"),
    ),
    "other_score": lambda: made(
        with_own(shifted(0.005, 0.0005), shift=0.02), scores=[*SCORES, *OWN], metric="latency",
        margin=0.01, scores_removed=["macro_f2"],
    ),
    "new_score": lambda: made(
        with_own(shifted(0.005, 0.0005), baseline=False), scores=[*SCORES, *OWN],
        metric="macro_f1",
    ),
    "other_classes": lambda: made(
        model("relu_128", side(), {**side(), "confusion": None, "classes": [
            {"actual": 1_000, "right": 990}] * 12}),
        baseline_data=None, examples=[], flips=[],
    ),
    "no_models": lambda: made(examples=[], flips=[], stages=[], changes=NOTHING),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_golden_page(name):
    """`GOLDEN=1 python -m pytest tests/report/test_report.py` makes them; read the diff."""
    text = written(CASES[name]())
    path = GOLDEN / f"{name}.md"
    if os.environ.get("GOLDEN"):
        path.write_text(text, encoding="utf-8")

    assert text == path.read_text(encoding="utf-8")


def test_every_golden_page_has_its_case():
    assert {path.stem for path in GOLDEN.glob("*.md")} == set(CASES)


ACCEPTABLE = {
    "regressed",
    "below_the_anchor",
    "other_score",
    "new_and_removed",
    "worse_best",
    "renamed_and_broken",
}
FAILING = {
    *ACCEPTABLE,
    "not_reproduced",
    "not_confirmed",
    "committed_stale",
    "stale_in_git_and_worse",
    "candidate_missing",
    "no_baseline",
    "stale",
    "other_test_set",
    "other_classes",
    "no_models",
}


@pytest.mark.parametrize("name", CASES)
def test_the_check_fails_for_these_alone(name):
    assert judge(CASES[name]()).passes == (name not in FAILING)


@pytest.mark.parametrize("name", CASES)
def test_the_label_accepts_losses_alone(name):
    assert judge(CASES[name]()).is_acceptable == (name in ACCEPTABLE)


def test_the_marker_comes_first_and_the_verdict_next():
    lines = written(CASES["improved"]()).splitlines()

    assert lines[0] == "<!-- fair-trial report -->"
    assert lines[2].startswith("▲ **Improved**: `relu_128` +0.50 pp (+0.46 to +0.54); equivalent: ")


@pytest.mark.parametrize(
    ("metric", "shift", "line"),
    [
        ("latency", -0.02, "▲ **Improved**: `relu_128` −0.02 ms (−0.02 to −0.02). Nothing is"),
        ("latency", +0.02, "▼ **Regressed**: `relu_128` +0.02 ms (+0.02 to +0.02). Asked of you"),
        ("perplexity", -0.02, "▲ **Improved**: `relu_128` −0.02 (−0.02 to −0.02). Nothing is"),
        ("macro_f1", +0.02, "▲ **Improved**: `relu_128` +2.00 pp (+2.00 to +2.00). Nothing is"),
        ("macro_f1", -0.02, "▼ **Regressed**: `relu_128` −2.00 pp (−2.00 to −2.00). Asked of"),
    ],
)
def test_the_verdict_is_of_the_score_that_is_judged_in_its_own_direction(metric, shift, line):
    given = made(with_own(shifted(0.0, 0.0), shift=shift), scores=[*SCORES, *OWN], metric=metric)

    assert written(given).splitlines()[2].startswith(line)


def test_another_yardstick_is_said_with_the_margins_in_their_units():
    given = made(with_own(shifted(0.0, 0.0)), scores=[*SCORES, *OWN], metric="latency", margin=0.1)
    text = written(given)

    assert "- **The score that is judged changed**, from accuracy to `latency`; " in text
    assert "- **The margin itself changed**, from 0.1 pp to 0.1 ms; verdicts use the " in text
    gone = made(shifted(0.0, 0.0), baseline_metric="macro_f2")
    assert "changed**, from `macro_f2` to accuracy; verdicts use the new one." in written(gone)


def test_the_check_run_of_a_score_that_the_baseline_lacks_is_neutral():
    assert conclude(judge(CASES["new_score"]()), None) == "neutral"
    assert conclude(judge(CASES["improved"]()), None) == "success"


def test_seeds_needed_grow_with_the_square_of_the_effect():
    found = judge(CASES["cannot_tell"]()).models[0]
    effect = found.finding.difference.minimum_detectable_effect

    assert seeds_wanted(found, effect) == 10
    assert seeds_wanted(found, effect / 2) == 34  # not 40: with more seeds t is smaller, too


# --- notes and pictures --------------------------------------------------------------------------


def test_notes_of_a_workflow_are_shown():
    notes = Notes(
        run_url="https://github.com/o/r/actions/runs/1",
        overridden_by="maintainer",
        texts=["@all | <b>"],
    )
    text = written(CASES["regressed"](), notes)

    assert "The failing check was overridden by `@maintainer`." in text
    assert "[The run that made this report](https://github.com/o/r/actions/runs/1)." in text
    assert "- `@all \\x7c \\x3cb\\x3e`" in text


@pytest.mark.parametrize(
    "given",
    [
        {"run_url": "javascript:alert(1)"},
        {"run_url": "https://a.b/c)[x](https://evil"},
        {"run_url": "https://a.b/c\n"},
        {"overridden_by": "a b"},
        {"overridden_by": "@a"},
        {"overridden_by": "a" * 40},
        {"texts": ["x" * 401]},
        {"texts": ["x"] * 11},
    ],
)
def test_hostile_notes_are_refused(given):
    with pytest.raises(ValueError, match="validation error"):
        Notes(**given)


def test_pictures_are_found_beside_the_page_or_under_an_address_or_left_out():
    given = CASES["improved"]()
    address = "https://github.com/o/r/blob/" + "a" * 40 + "/"

    assert 'srcset="images-dark.png"><img src="images.png"' in written(given)
    assert f'srcset="{address}images-dark.png?raw=true"' in written(given, pictures=address)
    without = written(given, pictures=None)
    assert "<img" not in without
    assert "No pictures here; every number stands in the text." in without


# --- the script ----------------------------------------------------------------------------------


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["report.py", *map(str, arguments)])
    script.main()


def stored(folder: Path, given: Evidence) -> Path:
    path = folder / "given.json"
    path.write_text(given.model_dump_json(), encoding="utf-8")
    return path


def test_render_writes_page_pictures_and_verdict(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    run(monkeypatch, "render", stored(tmp_path, CASES["improved"]()), "--output", out)

    pictures = ["confusion", "curves", "differences", "images"]
    expected = [f"{name}{kind}.png" for name in pictures for kind in ("-dark", "")]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*expected, "report.html", "report.md"]
    )
    assert capsys.readouterr().out.startswith("▲ Improved: relu_128 +0.50 pp")
    html = (out / "report.html").read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 8
    assert "<script" not in html
    assert "http" not in html.replace('<meta http-equiv="', "")


def test_pictures_of_an_earlier_report_go(tmp_path, monkeypatch):
    run(monkeypatch, "render", stored(tmp_path, CASES["improved"]()), "--output", tmp_path / "out")
    run(monkeypatch, "render", stored(tmp_path, CASES["no_models"]()), "--output", tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.html",
        "report.md",
    ]


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [("regressed", (), 1), ("improved", (), None), ("regressed", ("--overridden-by", "ann"), None)],
)
def test_gate_exits_1_unless_overridden(tmp_path, monkeypatch, name, options, code):
    arguments = ["render", stored(tmp_path, CASES[name]()), "--output", tmp_path / "out", *options]
    run(monkeypatch, *arguments)
    if code is None:
        run(monkeypatch, *arguments, "--gate")
        return
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments, "--gate")

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--pictures-url", "http://a.b"], "--pictures-url: must be an https address"),
        (["--note", "x" * 401], "--note: string should have at most 400 characters"),
        (["--run-url", "x"], "--run-url: string should match pattern"),
    ],
)
def test_wrong_options_are_reported_in_one_line(tmp_path, monkeypatch, option, message):
    given = stored(tmp_path, CASES["improved"]())
    with pytest.raises(Exception, match=message):
        run(monkeypatch, "render", given, "--output", tmp_path / "out", *option)


def test_render_needs_a_file_and_nothing_else_takes_one(tmp_path, monkeypatch):
    for arguments in (["render"], ["collect", "x.json"]):
        with pytest.raises(SystemExit) as caught:
            run(monkeypatch, *arguments)
        assert caught.value.code == 2


def test_render_imports_neither_torch_nor_dvc_nor_mlflow(tmp_path):
    code = (
        "import sys, report; report.main(); "
        "print([name for name in ('torch', 'dvc', 'mlflow', 'pandas', 'lab.evidence.collection') "
        "if name in sys.modules])"
    )
    given = stored(tmp_path, CASES["improved"]())
    done = subprocess.run(
        [sys.executable, "-c", code, "render", given, "--output", tmp_path / "out"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1] == "[]"


# --- what a stranger may have written ------------------------------------------------------------

large = st.one_of(st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 1e18]), st.floats(0, 1e18))
counts = st.one_of(st.integers(0, 5), st.integers(0, 10**15))
words = st.text(max_size=40)
some_seeds = st.lists(st.integers(0, 12), min_size=1, max_size=12, unique=True)
accuracies = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))


@st.composite
def scored_seeds(draw):
    seeds = draw(some_seeds)
    values = st.lists(accuracies, min_size=len(seeds), max_size=len(seeds))
    names = draw(st.sampled_from([["accuracy"], ["accuracy", "loss"], ["loss"], []]))
    return {"seeds": seeds, "test": {name: draw(values) for name in names}}


@st.composite
def strange(draw):
    names = ["seeds", "examples", "ms_seeds", "ms_examples", "ms_residual"]
    images = {name: draw(counts if index < 2 else large) for index, name in enumerate(names)}
    one = {
        **shifted(draw(st.floats(-0.01, 0.01)), 0.0005, "a"),
        "images": {**images, "estimate": draw(st.floats(-1, 1))},
        "anchor": draw(st.none() | scored_seeds()),
    }
    kind = draw(st.sampled_from(["fresh", "extended"]))
    sides = [draw(st.just({}) | scored_seeds().map(lambda side: {"a": side})) for _ in range(2)]
    past = st.fixed_dictionaries({"estimate": st.floats(-1e18, 1e18), "error": large})
    return evidence(
        one,
        looks=sorted(draw(st.sets(st.integers(1, 1_000), min_size=1, max_size=10))),
        budget=draw(st.integers(0, 1_000)),
        confirmation=draw(st.none() | st.integers(1, 10**6)),
        margin=draw(st.sampled_from([1e-300, 0.001, 0.9])),
        trial=draw(st.none() | st.just(trial(*sides, kind=kind, wall_seconds=1e18))),
        trial_missing=draw(st.none() | words),
        anchor={
            **ANCHOR,
            "name": draw(st.text(max_size=40)),
            "missing": draw(st.none() | st.text()),
        },
        past=draw(st.lists(past, max_size=12)),
    )


@given(strange())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_trial_says_a_page_comes_out(given):
    found = Evidence.model_validate(given)
    text = written(found)

    assert text.startswith("<!-- fair-trial report -->")
    assert "nan" not in text.replace("maintain", "").split("### What changed")[0]
