"""What a pass comes to: `monitor/monitor.json`, and the line that a terminal shows."""

from datetime import UTC, datetime

from lab.monitoring.watch import Watch
from lab.report.document import Untrusted, plain
from lab.results.monitored import Alarm, Budget, Look, Monitored, Service, Signal

MOST_NAMED = 3


def found(watch: Watch, service: Service | None = None) -> Monitored:
    """All that the report says, in numbers."""
    state, params, about = watch.state, watch.params, watch.reference.about
    return Monitored(
        schema_version=1,
        headline=headline(watch, service),
        is_alarm=state.alarm is not None or (service is not None and service.since_ms is not None),
        model=about["model"],
        usual_accuracy=watch.reference.right / watch.reference.examples,
        records=state.records,
        windows=state.windows,
        waiting=watch.rest.waiting,
        other_models=state.other_models + watch.rest.others,
        other_shapes=state.other_shapes,
        start_ms=state.start_ms,
        end_ms=state.end_ms if state.windows else None,
        window=params.window,
        false_alarms=params.false_alarms,
        least=params.least,
        looks=state.looks,
        alarms=state.alarms,
        feedback=state.feedback,
        estimate=state.estimate,
        service=service,
    )


def headline(watch: Watch, service: Service | None = None) -> str:
    """How it stands, in a line: what alarms first.

    For example `alarm since 2026-11-29 10:02: inputs changed (rotated by 15 degrees); slant by
    0.31, width by 0.12`.
    """
    state, alarm = watch.state, watch.state.alarm
    if service is not None and service.since_ms is not None:
        line = f"alarm since {moment(service.since_ms)}: {service_line(service)}"
        return line if alarm is None else f"{line}; {alarm_line(alarm, on_now(state.looks))}"
    kept = f"; {targets_line(service)}" if service is not None else ""
    if alarm is not None:
        return alarm_line(alarm, on_now(state.looks)) + kept
    if not state.windows:
        waiting = f"{watch.rest.waiting:,} of {watch.params.window:,} answers"
        return f"nothing to say yet: {waiting}{kept}"
    over = ""
    if state.alarms and state.alarms[-1].end_ms is not None:
        over = f"; the last alarm was over at {moment(state.alarms[-1].end_ms)}"
    return f"quiet: {state.records:,} answers are like the reference{over}{kept}"


def service_line(service: Service) -> str:
    """What is missed of the targets, of the one that is missed most."""
    if service.problem is not None:
        return f"the service does not answer ({service.problem})"
    one, *others = service.on
    too = next((f"; others {how(it, service)}" for it in others if it.kind != one.kind), "")
    return missed_line(one, service) + too


def targets_line(service: Service) -> str:
    """Whether it keeps them, while nothing alarms."""
    if not any(one.requests for one in service.budgets):
        return "the service has answered nobody yet"
    over = [missed_line(one, service) for one in service.budgets if one.pace > 1]
    return "; ".join(over) or "the service keeps its targets"


def missed_line(one: Budget, service: Service) -> str:
    """For example `0.3% of 9,000 requests since 2026-11-29 10:02 UTC failed (0.1% may)`."""
    since = f"{one.requests:,} requests since {moment(one.start_ms)}"
    return f"{share(one.share)} of {since} {how(one, service)} ({share(one.allowed)} may)"


def how(one: Budget, service: Service) -> str:
    """In which way a target was missed."""
    return "failed" if one.kind == "errors" else f"took longer than {service.seconds:g} s"


def share(value: float) -> str:
    """A small share in percent.

    >>> share(1 - 0.999)
    '0.1%'
    """
    return f"{100 * value:.4g}%"


def alarm_line(alarm: Alarm, on: list[Signal]) -> str:
    """What drifted, since when, and what fits it."""
    listed = ", ".join(
        f"{plain([Untrusted(one.name)])} by {one.distance:.2f}" for one in on[:MOST_NAMED]
    )
    more = f" and {len(on) - MOST_NAMED} more" if len(on) > MOST_NAMED else ""
    cause = f" ({plain([Untrusted(alarm.cause)])})" if alarm.cause else ""
    return f"alarm since {moment(alarm.start_ms)}: {what(on)} changed{cause}; {listed}{more}"


def on_now(looks: list[Look]) -> list[Signal]:
    """What alarms now: each signal once, by its largest distance, the farthest first."""
    worst: dict[tuple[str, str], Signal] = {}
    for one in (signal for look in looks for signal in look.on):
        key = one.kind, one.name
        if key not in worst or one.distance > worst[key].distance:
            worst[key] = one
    return sorted(worst.values(), key=lambda one: -one.distance)


def what(on: list[Signal]) -> str:
    """Of what the signals are."""
    kinds = {one.kind for one in on}
    if kinds & {"input", "unlike"}:
        return "inputs"
    return "predicted classes" if "class" in kinds else "accuracy"


def moment(time_ms: int) -> str:
    """A time in UTC.

    >>> moment(1_796_000_000_000)
    '2026-11-30 00:53 UTC'
    """
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
