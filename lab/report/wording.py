"""Numbers as a reader takes them in: values -> short strings, and intervals drawn in characters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lab.evidence.schema import Evidence
from lab.report.document import Piece, Untrusted
from lab.results.schema import BUILT_IN, Score
from lab.verdict.differences import Difference

MINUS = "−"
ENDINGS = {1: "st", 2: "nd", 3: "rd"}


# --- scores --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """How the values of a score are written: `unit` is that of values, `step` of differences."""

    unit: str
    step: str
    factor: float
    digits: str  # of values, differences and effects

    @classmethod
    def of(cls, score: Score | None) -> "Scale":
        """Of a score; without one as a number without a unit.

        >>> scale = Scale.of(BUILT_IN[0])
        >>> scale.difference(-0.0042), scale.difference(0.00001), scale.spread([0.97, 0.98])
        ('−0.42', '0.00', '97.50 ± 0.71')
        >>> Scale.of(BUILT_IN[1]).difference(0.0123)
        '+0.0123'
        """
        if score is not None and score.unit == "%":
            return cls("%", "pp", 100, ".2f")
        unit = "" if score is None else score.unit
        return cls(unit, unit, 1, ".3g")

    def spread(self, values: Sequence[float]) -> str:
        """Mean and standard deviation."""
        form = ".2f" if self.unit == "%" else ".4g"
        deviation = f" ± {self.factor * np.std(values, ddof=1):{form}}" if len(values) > 1 else ""
        return f"{self.factor * np.mean(values):{form}}{deviation}"

    def value(self, value: float) -> str:
        """One value."""
        return f"{self.factor * value:{'.2f' if self.unit == '%' else '.4g'}}"

    def difference(self, value: float) -> str:
        """A difference, signed."""
        text = f"{self.factor * value:+{self.digits}}"
        return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)

    def interval(self, found: Difference) -> str:
        """`−0.78 to −0.63`."""
        return "none" if found.interval is None else self.ends(found.interval)

    def ends(self, interval: tuple[float, float]) -> str:
        """The two ends of an interval."""
        return " to ".join(map(self.difference, interval))

    def found(self, estimate: float, interval: tuple[float, float]) -> str:
        """A difference with its unit and interval: `−0.70 pp (−0.78 to −0.63)`."""
        return f"{self.with_unit(self.difference(estimate))} ({self.ends(interval)})"

    def effect(self, size: float) -> str:
        """The size of a difference."""
        return f"{self.factor * size:{self.digits}}"

    def margin(self, margin: float) -> str:
        """A margin with its unit, as few digits as it needs: `0.1 pp`."""
        return self.with_unit(f"{self.factor * margin:.3g}")

    def with_unit(self, amount: str) -> str:
        """A difference with its unit, if it has one."""
        return f"{amount} {self.step}".rstrip()


def titled(text: str, unit: str) -> str:
    """The header of a column: `Baseline, %`."""
    return f"{text}, {unit}" if unit else text


def label(name: str) -> Piece:
    """The name of a score; those of task/metrics.py are chosen by whoever wrote it."""
    if name in {score.name for score in BUILT_IN}:
        return name.replace("_", " ")
    return Untrusted(name)


def scale_of(evidence: Evidence, name: str | None) -> Scale:
    """The scale of a score by name; of one that is not declared, that of a number without unit."""
    return Scale.of(next((score for score in evidence.scores if score.name == name), None))


# --- numbers -------------------------------------------------------------------------------------


def points(value: float) -> str:
    """A difference of fractions in percentage points, signed."""
    return Scale.of(BUILT_IN[0]).difference(value)


def signed(value: float) -> str:
    """Two digits and a sign, for quantities of any size."""
    return f"{value:+.2g}".replace("-", MINUS) if value else "0"


def p_value(value: float | None) -> str:
    """Three digits, or that it is below what they can show."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(number: int) -> str:
    """`54,000`."""
    return f"{number:,}"


def many(number: int, noun: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ordinal(number: int) -> str:
    """Which of many.

    >>> [ordinal(number) for number in (1, 2, 3, 4, 11, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '21st', '112th']
    """
    is_teen = number % 100 in (11, 12, 13)
    return f"{number:,}{'th' if is_teen else ENDINGS.get(number % 10, 'th')}"


def number(value: float | None) -> str:
    """A number of a row of data: `3.25`, `1.2e+06`, `missing`."""
    return "missing" if value is None else f"{value:.6g}".replace("-", MINUS)


def deviation(value: float) -> str:
    """How far a number is from the mean, in standard deviations: `+3.1`."""
    return f"{value:+{'.1f' if abs(value) < 1_000 else '.0e'}}".replace("-", MINUS)


def mebibytes(number: int) -> str:
    """A number of bytes in MiB."""
    return f"{number / 2**20:,.0f} MiB"


HALF_WIDTH = 26  # characters either side of zero
STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)


def axis_end(found: Sequence[Difference], margin: float, factor: float) -> float:
    """The end of the axis: a round number that holds every interval and twice the margin."""
    ends = [abs(end) for one in found for end in (one.interval or (one.estimate,))]
    largest = max([2 * margin, *ends]) * factor
    power = 10.0 ** math.floor(math.log10(largest))
    step = next((step for step in STEPS if step * power >= largest * 0.999), STEPS[-1])
    return step * power / factor


def drawing(rows: Sequence[tuple[str, Difference]], margin: float, scale: Scale) -> list[str]:
    """Named intervals on one axis, against the margin, with a legend."""
    width = max(len(name) for name, _ in rows)
    end = axis_end([found for _, found in rows], margin, scale.factor)
    left, right = (f"{scale.factor * x:+.3g}".replace("-", MINUS) for x in (-end, end))
    axis = "0".center(2 * HALF_WIDTH + 1)
    axis = left + axis[len(left) : len(axis) - len(right)] + right
    return [
        f"{'':{width}}  {scale.with_unit(axis)}",
        *(f"{name:{width}}  {bar(found, margin, end)}".rstrip() for name, found in rows),
        "",
        f"░ within the margin of {scale.margin(margin)}   ├─●─┤ difference and its 95 % interval",
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
