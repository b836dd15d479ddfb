"""Numbers as a reader takes them in: values -> short strings, and intervals drawn in characters."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from lab.verdict.differences import Difference

MINUS = "−"


def points(value: float, digits: int = 2) -> str:
    """A difference of accuracies in percentage points, signed.

    >>> points(-0.0042), points(0.00001)
    ('−0.42', '0.00')
    """
    text = f"{100 * value:+.{digits}f}"
    if float(text) == 0:
        return f"{0:.{digits}f}"
    return text.replace("-", MINUS)


def interval(found: Difference, form: Callable[[float], str] = points) -> str:
    """`−0.78 to −0.63`."""
    if found.interval is None:
        return "none"
    return f"{form(found.interval[0])} to {form(found.interval[1])}"


def signed(value: float) -> str:
    """Two digits and a sign, for quantities of any size."""
    return f"{value:+.2g}".replace("-", MINUS) if value else "0"


def p_value(value: float | None) -> str:
    """Three digits, or that it is below what they can show."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(fraction: float) -> str:
    """A fraction in percent, as few digits as it needs: `0.1`."""
    return f"{100 * fraction:.3g}"


def spread(values: Sequence[float], scale: float = 100, form: str = ".2f") -> str:
    """Mean and standard deviation, `97.75 ± 0.07`."""
    deviation = f" ± {scale * np.std(values, ddof=1):{form}}" if len(values) > 1 else ""
    return f"{scale * np.mean(values):{form}}{deviation}"


def count(number: int) -> str:
    """`54,000`."""
    return f"{number:,}"


def many(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def mebibytes(number: int) -> str:
    """A number of bytes in MiB."""
    return f"{number / 2**20:,.0f} MiB"


HALF_WIDTH = 26  # characters either side of zero
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)


def _tick(value: float) -> str:
    return f"{100 * value:+.3g}".replace("-", MINUS)


def axis_end(found: Sequence[Difference], margin: float) -> float:
    """The end of the axis: a round number that holds every interval and twice the margin."""
    ends = [abs(end) for one in found for end in (one.interval or (one.estimate,))]
    largest = max([2 * margin, *ends]) * 100
    power = 10.0 ** math.floor(math.log10(largest))
    step = next((step for step in STEPS if step * power >= largest * 0.999), STEPS[-1])
    return step * power / 100


def drawing(rows: Sequence[tuple[str, Difference]], margin: float) -> list[str]:
    """Named intervals on one axis, against the margin, with a legend."""
    width = max(len(name) for name, _ in rows)
    end = axis_end([found for _, found in rows], margin)
    left, right = _tick(-end), _tick(end)
    axis = "0".center(2 * HALF_WIDTH + 1)
    axis = left + axis[len(left) : len(axis) - len(right)] + right
    return [
        f"{'':{width}}  {axis} pp",
        *(f"{name:{width}}  {bar(found, margin, end)}".rstrip() for name, found in rows),
        "",
        f"░ within the margin of {percent(margin)} pp   ├─●─┤ difference and its 95 % interval",
    ]


def bar(found: Difference, margin: float, scale: float) -> str:
    """One line of the drawing.

    >>> bar(Difference(0.002, (0.001, 0.003), 0.01, 0.001, True, None), 0.001, 0.004)
    '                    ░░░░░░│░░░░░├──────●──────┤      '
    """

    def column(value: float) -> int:
        return HALF_WIDTH + max(-HALF_WIDTH, min(HALF_WIDTH, round(value / scale * HALF_WIDTH)))

    cells = [" "] * (2 * HALF_WIDTH + 1)
    for position in range(column(-margin), column(margin) + 1):
        cells[position] = "░"
    cells[HALF_WIDTH] = "│"
    if found.interval is not None:
        low, high = map(column, found.interval)
        for position in range(low, high + 1):
            cells[position] = "─"
        cells[low], cells[high] = "├", "┤"
    cells[column(found.estimate)] = "●"
    return "".join(cells)
