"""The monitor's report: what drifted, since when, how that looks, and what to do."""

from collections.abc import Sequence

from lab.base.errors import shortened
from lab.base.params import MonitorParams
from lab.data.examples import Scaling
from lab.evidence.inputs import telling_columns
from lab.monitoring.budgets import PACES, Point
from lab.monitoring.findings import moment, on_now, service_line, share
from lab.monitoring.watch import Watch
from lab.report.document import (
    Block,
    Bullets,
    Folded,
    Heading,
    Line,
    Page,
    Paragraph,
    Picture,
    Strong,
    Table,
    Untrusted,
    prose,
    remainder,
)
from lab.results.monitored import Alarm, Budget, Burn, Monitored, Service, Signal
from lab.shifts.statistics import Inputs

TIME = Picture("time", "Largest distance of a statistic by time; alarms are shaded")
DISTRIBUTIONS = Picture("distributions", "How the farthest statistics are distributed")
PACES_PICTURE = Picture("paces", "How fast the service spends what it may miss")
EXAMPLES = Picture("examples", "Held-out images, and images of now that are answered the same")
FEWEST_POINTS = 3  # that make a picture over time
MOST_ROWS = 40  # of signals
MOST_LINES = 6  # of examples that are no images
Pictures = dict[str, bytes]
Report = tuple[Page, Page, Pictures]

TO_DO: dict[str, Line] = {
    "input": prose(
        "Look at the examples: is it what clients send (a scale, an order of channels, a camera), "
        "or the world? The first is corrected at the client. For the second, label some of what "
        "was recorded, add it to the data, ask {} of it, and train again.",
        Untrusted("make check DATA=folder"),
    ),
    "class": [
        "The inputs look as ever and other classes are answered. Other shares of the same classes "
        "need no new model; look at feedback before you train."
    ],
    "accuracy": [
        "Fewer answers are right, by the labels that somebody gave. Look whether it is those who "
        "label that changed; else label more, and train again."
    ],
    "errors": prose(
        "An error of its own (500) has its traceback in the service's log. Where requests are "
        "turned away (503), more is asked than it can do: {} says what helps.",
        Untrusted("docs/image.md"),
    ),
    "slow": [
        "More is asked than it can do, the model is larger, the machine is busy, or clients send "
        "slowly: the time counts from a request's head to its answer."
    ],
    "silent": ["See whether it runs, and whether this machine reaches it."],
}


def report(
    result: Monitored, watch: Watch, params: MonitorParams, points: Sequence[Point]
) -> Report:
    """The page, the same without pictures and what clients sent, and the pictures."""
    on, alarm = on_now(result.looks), result.now
    word = "Alarm" if result.is_alarm else "Quiet" if result.windows else "Nothing yet"
    head: list[Block] = [
        Paragraph([Strong(word), " ", Untrusted(shortened(_rest_of(result.headline), 400))])
    ]
    pictures: Pictures = {}
    shown: list[Block] = []
    if alarm is not None:
        head += _alarm(alarm, on, result)
        shown = [*_inputs(watch, pictures), *_distributions(watch, on, pictures)]
    accuracy, over_time = _accuracy(result), _over_time(result, watch, pictures)
    targets = _targets(result.service) if result.service else []
    paces = _paces(params, points, pictures)
    rest = [*_looks(result), *_alarms(result.alarms), _how(result)]
    whole = [*head, *shown, *accuracy, *over_time, *targets, *paces, *rest]
    title = f"What the service is asked: {result.model}"
    without = [*head, *accuracy, *targets, *rest]
    return Page("monitor", title, whole), Page("monitor", title, without), pictures


def _over_time(result: Monitored, watch: Watch, pictures: Pictures) -> list[Block]:
    if len(watch.state.points) < FEWEST_POINTS:
        return []
    from lab.monitoring import pictures as drawing

    _draw(pictures, TIME, drawing.over_time(watch.state, result.least))
    return [Heading(["Over time"]), TIME]


def _targets(service: Service) -> list[Block]:
    """What the service promises, and what is missed of it."""
    lines: list[Line] = []
    if service.since_ms is not None:
        kinds: list[str] = [one.kind for one in service.on] or ["silent"]
        lines = [
            prose("Alarm since {}: {}.", Strong(moment(service.since_ms)), service_line(service)),
            *(TO_DO[kind] for kind in dict.fromkeys(kinds)),
        ]
    if service.restarts:
        lines.append([
            f"Other processes answered since: {service.restarts:,}. What one counted just before "
            "it ended is not known."
        ])  # fmt: skip
    rows: list[list[Line]] = [
        [
            [_target(one, service)],
            [moment(one.start_ms)],
            [f"{one.requests:,}"],
            [f"{one.missed:,}"],
            [share(one.share)],
            [share(one.allowed)],
            [f"{one.pace:.3g}"],
            [Strong("alarm")] if isinstance(one, Burn) and one.is_on else [""],
        ]
        for one in (*service.budgets, *service.burns)
    ]
    header = ("What", "Since", "Requests", "Missed", "Share", "May", "Pace", "")
    how = (
        "At a pace of 1 what may be missed lasts for a month. "
        + ", ".join(f"{pace:g} over {hours} h" for hours, pace in PACES.items())
        + " alarm, if the last twelfth of the time keeps it, and chance cannot explain it."
    )
    said: list[Block] = [Bullets(lines)] if lines else []
    if rows:
        said += [Table(header, rows, header[2:7]), Paragraph([how])]
    return [Heading(["The service"]), *said]


def _target(one: Budget, service: Service) -> str:
    what = "failed" if one.kind == "errors" else f"longer than {service.seconds:g} s"
    return f"{what}, {f'{one.hours} h' if isinstance(one, Burn) else 'the month'}"


def _paces(params: MonitorParams, points: Sequence[Point], pictures: Pictures) -> list[Block]:
    if len(points) < FEWEST_POINTS:
        return []
    from lab.monitoring import pictures as drawing

    _draw(pictures, PACES_PICTURE, drawing.paces(params, points))
    return [PACES_PICTURE]


def _rest_of(headline: str) -> str:
    """What follows the word that stands out."""
    for prefix in ("alarm ", "quiet: ", "nothing to say yet: "):
        headline = headline.removeprefix(prefix)
    return headline


def _draw(pictures: Pictures, picture: Picture, figure: object) -> None:
    from matplotlib.figure import Figure

    from lab.monitoring.pictures import both

    assert isinstance(figure, Figure)  # noqa: S101
    pictures.update(zip(picture.files, both(figure), strict=True))


def _alarm(alarm: Alarm, on: list[Signal], result: Monitored) -> list[Block]:
    where = f"within the {alarm.length:,} answers from then on"
    lines: list[Line] = [
        prose("Since {} ({}).", Strong(moment(alarm.start_ms)), where),
        prose("What fits best: {}.", Untrusted(alarm.cause))
        if alarm.cause
        else ["None of the changes that are tried fits what is seen."],
    ]
    kinds = {"input" if one.kind == "unlike" else one.kind for one in on}
    kind = next((one for one in ("input", "class", "accuracy") if one in kinds), "input")
    return [Bullets(lines), Heading(["What to do"]), Paragraph(TO_DO[kind])]


def _inputs(watch: Watch, pictures: Pictures) -> list[Block]:
    """Some of what clients sent, beside what was held out."""
    state, reference = watch.state, watch.reference
    if state.shown is None or not len(state.shown):
        return []
    heading = Heading(["Side by side"])
    if not reference.about["kind"].endswith("image"):
        return [heading, _table_of_examples(watch, state.shown)]
    from lab.monitoring import pictures as drawing

    _draw(pictures, EXAMPLES, drawing.side_by_side(state, reference))
    text = "Above what was held out, below the most telling of the newest, by predicted class."
    return [heading, Paragraph([text]), EXAMPLES]


def _distributions(watch: Watch, on: list[Signal], pictures: Pictures) -> list[Block]:
    block = watch.state.telling
    if block is None or not any(one.kind == "input" for one in on):
        return []
    from lab.monitoring import pictures as drawing

    _draw(pictures, DISTRIBUTIONS, drawing.distributions(on, block, watch.reference))
    return [Heading(["What changed"]), DISTRIBUTIONS]


def _table_of_examples(watch: Watch, shown: Inputs) -> Table:
    reference = watch.reference
    rows: list[list[Line]] = [
        [["held out"], [Untrusted(text)]] for text in _texts(watch, reference.inputs[:MOST_LINES])
    ]
    rows += [[["now"], [Untrusted(text)]] for text in _texts(watch, shown[:MOST_LINES])]
    return Table(("", "Input"), rows)


def _texts(watch: Watch, inputs: Inputs) -> list[str]:
    about = watch.reference.about
    if about["kind"] == "text":
        return [_text(ids.tolist(), about.get("pieces")) for ids in inputs]
    scaling = Scaling.model_validate(about["scaling"]) if about["scaling"] else None
    if scaling is None:
        columns = about["columns"]
        return [
            "; ".join(f"{name} {value:.4g}" for name, value in zip(columns, row, strict=True))
            for row in inputs
        ]
    return [
        "; ".join(
            f"{one.name} {'missing' if one.value is None else f'{one.value:.4g}'}"
            for one in row.columns
        )
        for row in telling_columns(inputs, about["columns"], scaling)
    ]


def _text(ids: list[int], pieces: list[str] | None) -> str:
    """Tokens as words, without what fills up; their ids where nobody knows them.

    >>> _text([2, 4, 5, 9, 3, 0, 0], ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ed"])
    '[CLS] played (9) [SEP]'
    """
    if pieces is None:
        return " ".join(map(str, ids))
    known = (pieces[one] if 0 < one < len(pieces) else "" if not one else f"({one})" for one in ids)
    return " ".join(filter(None, known)).replace(" ##", "")


def _accuracy(result: Monitored) -> list[Block]:
    said, usual = result.feedback, f"{result.usual_accuracy:.2%} on the test split"
    lines: list[Line] = []
    if said.labels and said.low is not None and said.high is not None:
        lines.append([
            f"By {said.labels:,} labels of feedback {said.right / said.labels:.2%} of answers are "
            f"right ({said.low:.2%} to {said.high:.2%}); {usual}."
        ])  # fmt: skip
    else:
        lines.append([f"Nobody has labelled an answer yet; {usual}."])
    if said.unknown:
        lines.append([f"{said.unknown:,} labels are of answers that are no longer known."])
    if result.estimate is not None:
        lines.append([
            f"Without labels it is estimated as {result.estimate.accuracy:.2%}, from how sure "
            f"{result.estimate.answers:,} answers are."
        ])  # fmt: skip
    elif result.now is not None:
        lines.append(
            ["Without labels nothing is estimated while something alarms: it can be far off."]
        )
    return [Heading(["Accuracy"]), Bullets(lines)]


def _looks(result: Monitored) -> list[Block]:
    looks = [one for one in result.looks if one.signals]
    blocks: list[Block] = []
    for one in looks:
        ordered = sorted(one.signals, key=lambda signal: (not signal.is_on, -signal.distance))
        noun = "labels" if one.signals[0].kind == "accuracy" else "answers"
        what = f"The newest {one.records:,} {noun}, {moment(one.start_ms)} to {moment(one.end_ms)}"
        rows = [_row(signal) for signal in ordered[:MOST_ROWS]]
        header = ("Signal", "Usual", "Now", "Distance", "p", "")
        table = Table(header, rows, header[1:5])
        said = f"It alarms at p below {one.alpha:.1g}."
        if not one.alpha:
            said = "Not judged: part of it is an alarm that is over."
        more = remainder(len(rows), len(ordered))
        blocks.append(Folded(what, [table, *more, Paragraph([said])]))
    return [Heading(["Every signal"]), *blocks] if blocks else []


def _row(one: Signal) -> list[Line]:
    names: dict[str, Line] = {
        "input": [Untrusted(one.name)],
        "class": prose("answered {}", Untrusted(one.name)),
        "unlike": ["beyond training's ranges"],
        "accuracy": ["accuracy of feedback"],
    }
    form = "{:.4g}" if one.kind == "input" else "{:.2%}"
    numbers = ["–" if value is None else form.format(value) for value in (one.usual, one.now)]
    p = "below 1e-12" if one.p < 1e-12 else f"{one.p:.1g}"
    mark: Line = [Strong("alarm")] if one.is_on else [""]
    return [names[one.kind], [numbers[0]], [numbers[1]], [f"{one.distance:.3f}"], [p], mark]


def _alarms(alarms: list[Alarm]) -> list[Block]:
    rows: list[list[Line]] = [
        [
            [moment(one.start_ms)],
            ["goes on" if one.end_ms is None else moment(one.end_ms)],
            [Untrusted(", ".join(one.signals))],
            [Untrusted(one.cause)] if one.cause else ["–"],
        ]
        for one in reversed(alarms)
    ]
    if not rows:
        return []
    return [Heading(["Alarms"]), Table(("Since", "Until", "Signals", "Fits best"), rows)]


def _how(result: Monitored) -> Folded:
    lines: list[Line] = [
        [
            f"{result.records:,} answers in {result.windows:,} windows of {result.window:,}; "
            f"{result.waiting:,} wait for the next to be full."
        ],
        [
            f"Where nothing changes, {result.false_alarms:g} alarms a month are expected at most, "
            "however often somebody looks. A difference that concerns less than "
            f"{result.least:.0%} of inputs alarms nobody, however sure it is."
        ],
        ["An alarm of inputs, answers or labels ends when the newest blocks of all are quiet."],
    ]
    if result.other_models:
        lines.append([f"{result.other_models:,} answers of other models were left out."])
    if result.other_shapes:
        lines.append([f"{result.other_shapes:,} inputs of another shape or type were left out."])
    return Folded("How to read this", [Bullets(lines)])
