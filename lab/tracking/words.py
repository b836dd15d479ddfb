"""Scores, costs and verdicts as short words: what the columns of MLflow's run list hold."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a process that writes is to be ready before all that these import
    from lab.results.comparison import Comparison, ModelDifference
    from lab.results.schema import Spread

Form = Callable[[float], str]

# The names of these tags are those of the columns.
TEST, VALIDATION, COST, VERDICT = "test accuracy", "validation accuracy", "cost", "verdict"


def percent(fraction: float) -> str:
    """A fraction in percent.

    >>> percent(0.97789)
    '97.79 %'
    """
    return f"{100 * fraction:.2f} %"


def plain(value: float) -> str:
    """A number with four digits."""
    return f"{value:.4g}"


def with_interval(spread: "Spread", form: Form = percent) -> str:
    """The mean over seeds with its 95 % interval, where there are seeds enough for one.

    >>> from lab.results.schema import Spread
    >>> with_interval(Spread(mean=0.97, sd=0.01, per_seed=[0.96, 0.97, 0.98]))
    '97.00 % (94.52 to 99.48)'
    """
    interval = spread.interval()
    if interval is None:
        return form(spread.mean)
    low, high = (form(end).removesuffix(" %") for end in interval)
    return f"{form(spread.mean)} ({low} to {high})"


def cost_in_words(cost: Mapping[str, float]) -> str:
    """The wall time of a training; nothing where nobody measured it.

    >>> cost_in_words({"wall_seconds": 24.95})
    '25 s'
    """
    seconds = cost.get("wall_seconds")
    if seconds is None:
        return ""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def verdicts(found: "Comparison") -> dict[str, str]:
    """What a comparison says of each of its models, for the runs that trained them."""
    unit, chosen = found.metric.unit, found.chosen.model
    said = {chosen: "chosen"}
    for one in found.differences:
        said[one.baseline] = f"not chosen: {chosen} {_amount(one, unit)}, {one.verdict}"
    if len(found.differences) == 1:
        said[chosen] = f"chosen: {_amount(one, unit)} over {one.baseline}, {one.verdict}"
    return said


def verdict(found: "Comparison") -> str:
    """What it says of all of them: the verdicts first, for a narrow column."""
    chosen, unit = found.chosen.model, found.metric.unit
    of_others = [
        f"{one.verdict}: {chosen} {_amount(one, unit)}{_ends(one, unit)} over {one.baseline}"
        for one in found.differences
    ]
    return "; ".join(of_others) or f"{chosen} is the only model"


def _amount(one: "ModelDifference", unit: str) -> str:
    """For example `+5.12 pp`."""
    is_fraction = unit == "%"
    return (
        f"{100 * one.estimate:+.2f} pp" if is_fraction else f"{one.estimate:+.4g} {unit}".rstrip()
    )


def _ends(one: "ModelDifference", unit: str) -> str:
    """For example ` (+4.70 to +5.55)`; nothing without an interval."""
    interval = one.images or one.interval
    if interval is None:
        return ""
    low, high = (f"{100 * end:+.2f}" if unit == "%" else f"{end:+.4g}" for end in interval)
    return f" ({low} to {high})"
