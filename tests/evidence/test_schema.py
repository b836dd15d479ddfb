"""A report.json from a stranger: refused in one line, or shown without doing anything."""

import json
import os
import random
import re
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
from evidences import (
    CLASSES,
    OWN,
    SCORES,
    colour,
    confused,
    data,
    evidence,
    example,
    exported,
    flips,
    form,
    grey,
    model,
    on_seeds,
    row,
    shifted,
    side,
    text,
    trial,
    with_own,
)
from markdown_it import MarkdownIt

import report as script
from lab.base.errors import DataError
from lab.data.examples import Kind
from lab.evidence.schema import MAX_BYTES, Evidence, parse, read
from lab.report import page
from lab.report.judgement import judge
from lab.report.notes import Notes
from lab.report.page import MAX_CHARACTERS

CASES = int(os.environ.get("REPORT_CASES", "10000"))
PARTS = 8  # spread over the workers

# Each holds EVIL, so that a test can look for it outside of code.
HOSTILE = [
    "EVIL @everyone @org/team",
    "EVIL #1 GH-1 owner/repo#2 " + "a" * 40,
    "EVIL https://evil.example www.evil.example a@evil.example mailto:a@b.cc",
    "EVIL :tada: $x^2$ $`x`$ \\(x\\)",
    "<script>alert('EVIL')</script>",
    "<img src=x onerror=alert(1)> EVIL <!-- --> --> </details> </code> ]]>",
    "[EVIL](javascript:alert(1)) ![EVIL](http://evil.example/x.png) [EVIL]: http://evil.example",
    "`EVIL` ``EVIL`` ```\nEVIL\n```",
    "a|EVIL|b\\|c \\",
    "\n\n# EVIL\n\n- [ ] EVIL\n> EVIL\n| EVIL |\n---",
    "EVIL\x00\x07\x1b[31mred\x1b[0m\x7f\x85",
    "EVIL\u202e\u2066\u200b\u200d\ufeff\u00ad\u2028\u2029\u00a0\ue000\U000e0041",
    "EVIL" + "\u0300" * 300,
    "EVIL\U0010ffff\ufdd0 ＠everyone ｗｗｗ．evil．example",
    '" onmouseover="alert(1)" EVIL \'',
    "&lt;EVIL&gt; &#64;EVIL &amp;",
    "EVIL" * 100,
    "   ",
    "",
    "../../EVIL",
    "/etc/EVIL",
]
NAMES = ["..", ".", "-EVIL", "www.EVIL.example", "EVIL.png", "__EVIL__", "EVIL" * 16]
SCORE_NAMES = ["accuracy", "evil", "https", "a_b", "", "A", "a-b", "a" * 41]
NUMBERS = [0, 1, -1, 0.5, 1e-300, 1e18, 1e19, 2**31, 2**63, 10**40, -0.0, 1e400, True]
OTHERS = [None, [], {}, [[]], [[[[]]]], {"EVIL": 1}]

IMAGES = {"seeds": 3, "examples": 10_000, "estimate": 0.01, "ms_seeds": 0.2, "ms_examples": 0.03,
          "ms_residual": 0.02}  # fmt: skip


def whole(kind: str = "grey image") -> dict[str, object]:
    """Evidence that has something of everything."""
    given = {"grey image": grey(), "colour image": colour(4, 6), "text": text(), "row": row()}[kind]
    moved = [{"actual": 1, "predicted": 2, "baseline": 3, "candidate": 4}]
    made = evidence(
        model(
            "relu_128",
            side(0.98, seeds=[0, 1, 2]),
            side(0.97, seeds=[0, 1, 2]),
            moved=moved,
            anchor=on_seeds(seeds=[0, 1, 2]),
            images=IMAGES,
        ),
        model("other", side(0.97, seeds=[0, 1, 2], cost=False), side(0.96, seeds=[3, 4, 5])),
        model("lost", None, side(seeds=[0, 1]), candidate_missing="it is missing"),
        with_own(model("own", side(0.98, seeds=[0, 1]), side(0.97, seeds=[0, 1]))),
        {
            **model("old", side(0.98, seeds=[0]), side(0.97, seeds=[0])),
            "stale": ["train@old: lab/x.py changed"],
        },
        model("made", side(0.98), side(0.97), committed=side(0.96), renamed_from="narrow"),
        model("removed", None, side(0.99)),
        scores=[*SCORES, *OWN],
        candidate_data=data(kind=kind),
        baseline_data=data(kind=kind, names=None),
        examples=[example(given=given), example(9, "other", given=given)],
        flips=[flips(), flips("other", missing="not in the cache")],
        looks=[3, 6, 12],
        budget=12,
        baseline_budget=12,
        trial=trial(
            {"relu_128": on_seeds(0.98, seeds=range(6)), "made": on_seeds(0.98, seeds=range(6))},
            {"relu_128": on_seeds(seeds=range(6)), "narrow": on_seeds(seeds=range(6))},
        ),
        anchor={"commit": "3" * 40, "name": "anchor", "missing": None},
        candidate_export=exported(form(), form("model.int8", 100, 9, "regressed", "not equal")),
        past=[{"estimate": 0.001 * number, "error": 0.0004} for number in range(-6, 6)],
    )
    if kind == "text":
        made |= {
            "confirmation": 2,
            "trial": trial({"relu_128": on_seeds()}, {"relu_128": on_seeds()}, "fresh"),
            "trial_missing": "training failed",
        }
    made["candidate"]["inherited_stale"] = ["train@relu_128: lab/x.py changed"]
    if kind == "text":
        made["candidate"]["committed_stale"] = ["train@relu_128: lab/x.py changed"]
    return made


WHOLE = whole()
WHOLES = [whole(kind) for kind in get_args(Kind)]


def places(tree: object, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [at] if at else []
    if isinstance(tree, dict):
        for key, value in tree.items():
            found += places(value, (*at, key))
    if isinstance(tree, list):
        for index, value in enumerate(tree):
            found += places(value, (*at, index))
    return found


# A leaf of a long list of numbers is as good as any other; names of fields are not.
PLACES = [
    [
        place
        for place in places(given)
        if sum(isinstance(step, int) and step > 1 for step in place) == 0
    ]
    for given in WHOLES
]


def got(tree: object, place: tuple[object, ...]) -> object:
    for step in place:
        tree = tree[step]  # type: ignore[index]
    return tree


# Where any text at all is valid.
TEXTS = [
    place
    for place in PLACES[0]
    if {
        "reasons",
        "stale",
        "inherited_stale",
        "branch",
        "machine",
        "stages",
        "changes",
        "uncommitted",
        "packages",
    }
    & {*place}
    and isinstance(got(WHOLE, place), str | None)
]


def put(tree: dict[str, object], place: tuple[object, ...], value: object) -> None:
    for step in place[:-1]:
        tree = tree[step]  # type: ignore[index, assignment]
    tree[place[-1]] = value  # type: ignore[index]


def mutated(chance: random.Random) -> bytes:
    """The whole evidence with one to three things wrong with it."""
    kind = chance.randrange(len(WHOLES))
    tree = json.loads(json.dumps(WHOLES[kind]))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        place = chance.choice(TEXTS if chance.random() < 0.5 else PLACES[kind])
        try:
            old = got(tree, place)
            if not isinstance(got(tree, place[:-1]), dict | list):
                continue
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took it away
        if isinstance(old, str) and chance.random() < 0.8:
            new: object = chance.choice(HOSTILE + NAMES + SCORE_NAMES)
        elif isinstance(old, int | float) and chance.random() < 0.8:
            new = chance.choice(NUMBERS)
        elif isinstance(old, list) and old and chance.random() < 0.5:
            new = old * chance.choice([0, 2, 30])
        elif old is None and chance.random() < 0.8:
            new = chance.choice(HOSTILE + NAMES)
        else:
            new = chance.choice(HOSTILE + NAMES + NUMBERS + OTHERS)
        put(tree, place, new)
    content = json.dumps(tree).encode()
    if chance.random() < 0.1:
        position, length = chance.randrange(len(content)), chance.randrange(1, 9)
        noise = chance.randbytes(chance.randrange(6))
        content = content[:position] + noise + content[position + length :]
    if chance.random() < 0.02:
        content = content[: chance.randrange(len(content))]
    return content


ALLOWED_TAGS = [
    r"<!-- fair-trial report -->",
    r"<details><summary>[A-Za-z, ():]+</summary>",
    r"</details>",
]


def check_markdown(text: str) -> None:
    assert len(text) <= MAX_CHARACTERS
    assert text.replace("\n", " ").isprintable()  # no control, bidi or zero-width character
    bare = re.sub(r"^```text\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    bare = re.sub(r"`[^`\n]*`", "", bare)
    for tag in ALLOWED_TAGS:
        bare = re.sub(tag, "", bare)
    bare = bare.replace("\\<", "")
    for sign in ("EVIL", "evil", "`", "<", "@", "http", "www", "](", "#1", "GH-", "tada"):
        assert sign not in bare, sign


def check_parsed_markdown(text: str) -> None:
    """As a Markdown reader sees it: strange text in code alone, no link, no picture."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [inner for token in tokens for inner in (token, *(token.children or []))]
    for token in flat:
        assert token.type not in ("link_open", "image", "html_inline"), token
        if token.type == "html_block":
            assert any(re.fullmatch(tag, token.content.strip()) for tag in ALLOWED_TAGS), token
        if token.type == "text":
            assert "EVIL" not in token.content
    for table in text.split("\n\n"):
        if table.startswith("|"):  # no cell more than the header has
            rows = [re.split(r"(?<!\\)\|", row) for row in table.strip().splitlines()]
            assert len({len(row) for row in rows}) == 1


class Reader(HTMLParser):
    """Checks a page while it is read."""

    TAGS = re.compile(
        "html|head|meta|title|style|body|h1|h2|p|ul|li|div|table|thead|tbody|tr|th|td|pre|code|"
        "strong|details|summary|picture|source|img"
    )
    ATTRIBUTES = re.compile("lang|charset|name|content|http-equiv|class|media|srcset|src|alt")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert self.TAGS.fullmatch(tag)
        for name, value in attrs:
            assert self.ATTRIBUTES.fullmatch(name)
            assert "EVIL" not in (value or "")
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "EVIL" in data:
            assert self.open[-1] in ("code", "pre")


def check_html(text: str) -> None:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []


def first_alone(count: int) -> list[Any]:
    """The numbers below `count`, of which only the first is for the default run."""
    return [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, count))]


@pytest.mark.parametrize("part", first_alone(PARTS))
def test_mutated_evidence_is_refused_in_one_line_or_shown_as_text(part):
    chance = random.Random(part)
    shown = 0
    for number in range(CASES // PARTS):
        try:
            found = parse(mutated(chance), "report.json")
        except DataError as error:
            message = str(error)
            assert message.startswith("report.json: ")
            assert len(message) < 600
            assert message.isprintable()
            continue
        shown += 1
        judged = judge(found)
        text = page.to_markdown(found, judged, [], Notes(), None)
        check_markdown(text)
        if number % 25 == 0:
            check_parsed_markdown(text)
            check_html(page.to_html(found, judged, [], Notes(), {}))
    assert shown > CASES // PARTS // 4  # the mutations are not all refused


@pytest.mark.parametrize("seed", first_alone(4))
def test_what_is_drawn_and_written_stays_in_the_output_folder(seed, tmp_path):
    chance = random.Random(f"drawn {seed}")
    usual = [f"{name}{kind}.png" for name in ("differences", "curves", "confusion", "images")
             for kind in ("", "-dark")] + ["report.md", "report.html"]  # fmt: skip
    drawn = 0
    while drawn < 3:
        try:
            found = parse(mutated(chance), "report.json")
        except DataError:
            continue
        drawn += 1
        script.render(found, tmp_path / "out", Notes(), "")

        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert {path.name for path in (tmp_path / "out").iterdir()} <= set(usual)
        check_html((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))


# --- whole files ---------------------------------------------------------------------------------


def refusal(content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        parse(content, "report.json")
    return str(caught.value)


def test_more_than_20_mebibytes_are_refused_unread(tmp_path):
    path = tmp_path / "report.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)

    with pytest.raises(DataError, match=r"report\.json: at most 20,971,520 bytes; got more"):
        read(path)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"no such file; run `python report\.py collect`"):
        read(tmp_path / "report.json")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"models":['])
def test_deep_nesting_is_refused(opening):
    assert "recursion limit" in refusal(opening * 200_000)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_scores_that_are_no_numbers_are_refused(number):
    first = '"test": {"accuracy": ['
    content = json.dumps(WHOLE).replace(f"{first}0.9795", f"{first}{number}")

    assert ".test.accuracy.0: " in refusal(content.encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number):
    content = json.dumps(WHOLE).replace('"margin": 0.001', f'"margin": {number}', 1)

    assert refusal(content.encode()).startswith("report.json: margin: ")


@pytest.mark.parametrize("name", ["a/b", "../x", "a b", "", "a" * 65, "a\n", "ä", "a`"])
def test_names_that_are_none_are_refused(name):
    assert "models.0.name" in refusal(json.dumps({**WHOLE, "models": [model(name)]}).encode())


MOVED = {"actual": 10, "predicted": 1, "baseline": 0, "candidate": 0}
MORE = {"actual": 1, "right": 2}
OTHER_SEEDS = {"relu_128": on_seeds(seeds=[7, 8])}


def of_trial(**change: object) -> dict[str, object]:
    return {"trial": {**trial(OTHER_SEEDS, OTHER_SEEDS), **change}}


def of_seeds(**change: object) -> dict[str, object]:
    return of_trial(candidate={"relu_128": {**OTHER_SEEDS["relu_128"], **change}})


def many_scores(count: int) -> list[dict[str, object]]:
    return [{**SCORES[0], "name": f"s{number}"} for number in range(count)]


def of_side(**change: object) -> dict[str, object]:
    return {"models": [model("a", {**side(), **change}, side())], "examples": [], "flips": []}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"extra": 1}, "extra"),
        ({"class_names": ["a", "b"]}, "classes needs 2 entries"),
        ({"class_names": [], "models": []}, "examples_per_class needs 0 entries"),
        ({"class_names": [*CLASSES[:9], "a\nb"]}, "class_names.9: value error, must be printable"),
        ({"class_names": [*CLASSES[:9], "\u202e"]}, "class_names.9: value error, must be printab"),
        ({"class_names": [*CLASSES[:9], "x" * 65]}, "class_names.9: string should have at most 64"),
        ({"class_names": [*CLASSES[:9], ""]}, "class_names.9: string should have at least 1"),
        ({"candidate_data": {**data(), "class_names": ["a"]}}, "must have one entry a class"),
        ({"models": [model("a", side(), moved=[MOVED])]}, "a class of a mistake must be below 10"),
        ({"models": [model("a", {**side(), "confusion": [[1]]})]}, "confusion needs 10 rows and"),
        ({"models": [model("a", {**side(), **confused([[1] * 101] * 101)})]}, "classes needs 10"),
        ({"models": [model("a", {**side(), "classes": [MORE] * 10})]}, "right must be at most"),
        (
            {"models": [model("a", side(), committed={**side(), **confused([[1] * 9] * 9)})]},
            "classes needs 10 entries",
        ),
        (
            {"models": [model("a", side(), committed={**side(), "test": {"a": [0.5] * 10}})]},
            "every score of a model must be one of scores",
        ),
        ({"baseline": {**WHOLE["baseline"], "models": ["a", "a"]}}, "entries must differ"),
        ({"baseline": {**WHOLE["baseline"], "models": ["<b>"]}}, "baseline.models.0"),
        ({"examples": [example(given=text()), example(given=row())]}, "must be of one kind"),
        ({"models": [model("a"), model("a")]}, "entries must differ"),
        ({"examples": [example(label=10)]}, "a class of an example must be below 10"),
        ({"examples": [example()] * 13}, "examples"),
        ({"scores": [*SCORES, SCORES[0]]}, "entries must differ"),
        ({"scores": SCORES[1:]}, "metric must be one of scores"),
        ({"scores": SCORES[:1]}, "every score of a model must be one of scores"),
        ({"scores": []}, "scores: list should have at least 1 item"),
        ({"scores": many_scores(51)}, "scores: list should have at most 50 items"),
        ({"scores": many_scores(10_000)}, "scores: list should have at most 50 items"),
        ({"scores": [{**SCORES[0], "name": "A b"}]}, "scores.0.name: string should match pattern"),
        ({"scores": [{**SCORES[0], "unit": "<b>"}]}, "scores.0.unit: string should match pattern"),
        ({"scores": [{**SCORES[0], "unit": "a b"}]}, "scores.0.unit: string should match pattern"),
        ({"scores": [{**SCORES[0], "higher_is_better": 1}]}, "scores.0.higher_is_better"),
        ({"metric": "macro_f2"}, "metric must be one of scores"),
        ({"scores_removed": ["<b>"]}, "scores_removed.0: string should match pattern"),
        (of_side(test={"accuracy": [0.5] * 2}), "10 seeds, but 2 values per seed"),
        (
            {"scores": [{**SCORES[0], "higher_is_better": False}]},
            "accuracy must be in % and of its",
        ),
        ({"scores": [{**SCORES[0], "unit": "ms"}]}, "accuracy must be in % and of its own"),
        (of_side(test={"accuracy": [1.5] * 10}), "accuracy must be from 0 to 1"),
        (of_side(test={"loss": [-0.5] * 10}), "loss must be from 0 to 1e+18"),
        (of_side(test={"accuracy": [1e19] * 10}), "test.accuracy.0: input should be less than"),
        (of_side(test={"a": [0.5] * 10}), "every score of a model must be one of scores"),
        (of_side(test={"A b": [0.5] * 10}), "test.A b"),
        (of_seeds(seeds=[7, 7]), "entries must differ"),
        (of_seeds(seeds=[]), "seeds: list should have at least 1 item"),
        (of_seeds(seeds=[7, 2**31]), "seeds.1: input should be less than or equal to 2147483647"),
        (of_seeds(test={"accuracy": [0.5]}), "accuracy: 2 seeds, but 1 values per seed"),
        (of_seeds(test={"accuracy": [0.5, 1.5]}), "accuracy must be from 0 to 1"),
        (of_seeds(test={"a": [0.5, 0.5]}), "every score of a model must be one of scores"),
        (of_trial(candidate={"b": on_seeds()}), "a model of a trial must be one of models"),
        (of_trial(baseline={"made": on_seeds()}), "a model of a trial must be one of models"),
        (of_trial(baseline={"a b": on_seeds()}), "trial.baseline.a b"),
        (of_trial(kind="fresh"), "a fresh trial, and no other, is of a run"),
        (of_trial(run=1), "a fresh trial, and no other, is of a run"),
        (of_trial(wall_seconds=-1.0), "trial.wall_seconds"),
        (
            {"models": [model("a", side(), anchor=on_seeds())], "trial": None, "anchor": None},
            "without an anchor no model has one",
        ),
        (
            {
                "models": [model("a", side(), anchor={**on_seeds(), "test": {"a": [0.5] * 10}})],
                "trial": None,
            },
            "every score of a model must be one of scores",
        ),
        ({"looks": []}, "looks: list should have at least 1 item"),
        ({"looks": [10, 10]}, "looks must grow"),
        ({"looks": [0, 10]}, "looks.0: input should be greater than or equal to 1"),
        ({"budget": 1_001}, "budget: input should be less than or equal to 1000"),
        ({"confirmation": 0}, "confirmation: input should be greater than or equal to 1"),
        ({"anchor": {"commit": "HEAD", "name": "anchor", "missing": None}}, "anchor.commit"),
        ({"past": [{"estimate": 0.0, "error": -1.0}]}, "past.0.error"),
        ({"past": [{"estimate": 0.0, "error": 0.0}] * 501}, "past: list should have at most 500"),
        (of_side(test={f"s{n}": [0.5] * 10 for n in range(10_000)}), "at most 50 items"),
        (of_side(classes=[{"actual": 1, "right": 2}] * 10), "right must be at most actual"),
        (of_side(classes=[{"actual": 2, "right": 1}] * 10), "the sums and the diagonal"),
        (of_side(confusion=[[1]]), "confusion needs 10 rows and columns"),
        (of_side(classes=[{"actual": 1, "right": 1}] * 1_001, confusion=None), "at most 1000"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, where):
    assert where in refusal(json.dumps({**WHOLE, **change}).encode())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({**grey(), "pixels": "AAAA"}, "pixels must be 784 bytes, but are 3"),
        ({**grey(), "height": 29}, "pixels must be 812 bytes, but are 784"),
        ({**grey(), "kind": "colour image"}, "pixels must be 2,352 bytes, but are 784"),
        ({**grey(), "width": 0}, "greater than or equal to 1"),
        ({**grey(), "height": 10**9, "width": 10**9}, "less than or equal to 128"),
        ({**grey(), "width": 28.5}, "input should be a valid integer"),
        ({**grey(1, 3), "pixels": "AA\nAA"}, "pixels must be base64"),
        ({**grey(1, 3), "pixels": "ÄAAA"}, "pixels must be base64"),
        ({**grey(1, 1), "pixels": "A" * 65_537}, "at most 65536 characters"),
        (text("a\x1b[31m"), "must be printable"),
        (text("a\u202eb"), "must be printable"),
        (text("two\nlines"), "must be printable"),
        (text("x" * 241), "at most 240 characters"),
        (row(("a", float("inf"), 0.0)), "finite number"),
        (row(("a", 1.0, 1e19)), "less than or equal to 1"),
        (row(("a\x00", 1.0, 1.0)), "must be printable"),
        (row(*[("a", 1.0, 1.0)] * 6), "at most 5 items"),
        ({"kind": "sound"}, "does not match any of the expected tags"),
        ({"kind": "a\nb\x1b\u202e"}, r"input tag 'a\nb\x1b\u202e'"),
        ({**text(), "pixels": "AAAA"}, "extra inputs are not permitted"),
    ],
)
def test_inputs_of_examples_that_are_none_are_refused_in_one_line(given, problem):
    message = refusal(json.dumps({**WHOLE, "examples": [example(given=given)]}).encode())

    assert problem in message
    assert message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 8])
def test_another_version_is_refused_and_what_to_do_is_said(version):
    assert refusal(json.dumps({**WHOLE, "schema_version": version}).encode()) == (
        f"report.json: schema_version: input should be 7; got {version}; merge the default branch, "
        "or write it with this revision's `python report.py collect`"
    )


def test_a_thousand_models_fit_on_the_page():
    models = [{**shifted(0.002, 0.001, f"model_{number:057d}")} for number in range(1_000)]
    stages = [{"name": "\x00" * 400, "state": "ran", "reasons": ["\x00" * 400] * 200}] * 1_000
    found = Evidence.model_validate(evidence(*models, stages=stages))
    text = page.to_markdown(found, judge(found), [], Notes(), "")

    check_markdown(text)
    assert "Lists were shortened here; `report.html` and `report.json` hold more." in text
    assert "… and " in text


def test_a_thousand_classes_fit_into_the_file_and_on_the_page():
    names = [f"class {number}" for number in range(1_000)]
    counts = [{"actual": 500, "right": number % 500} for number in range(1_000)]
    sides = [{**side(), "classes": each, "confusion": None} for each in (counts, counts[::-1])]
    described = data(names=names)
    given = evidence(
        *(model(f"m{number}", *sides) for number in range(20)),
        class_names=names, candidate_data=described, baseline_data=described, examples=[],
    )  # fmt: skip
    content = json.dumps(given).encode()
    found = parse(content, "report.json")
    text = page.to_markdown(found, judge(found), [], Notes(), "")

    assert len(content) < 3 * 2**20
    check_markdown(text)
    assert "`class 0`" in text


def test_folded_parts_are_shortened_first():
    models = [shifted(0.002, 0.001, f"model_{number}") for number in range(60)]
    found = Evidence.model_validate(evidence(*models))
    text = page.to_markdown(found, judge(found), [], Notes(), "")

    assert all(f"| `model_{number}` | 97.00" in text for number in range(60))
    assert "Lists were shortened here" in text
