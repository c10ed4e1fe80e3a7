"""Figures over several rounds; rows of the comparison, a figure of ours and one of the other side.

Both sides are measured in turn, round by round.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A figure over several rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median, smallest and largest of the values."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int) -> str:
        """For a table: ``12 (11 to 14)``."""
        median, low, high = (f"{value:,.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{median} ({low} to {high})"


@dataclass(frozen=True)
class Target:
    """A bound on the median of the ratio.

    Attributes:
        ratio: the bound.
        is_least: whether the ratio should be at least that, or at most.
    """

    ratio: float
    is_least: bool = True

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound."""
        return ratio >= self.ratio if self.is_least else ratio <= self.ratio

    def text(self, ratio: float) -> str:
        """The bound, and whether a ratio keeps it; if not, by how much it is missed."""
        bound = f"{'at least' if self.is_least else 'at most'} {self.ratio:.3g}"
        if self.is_met(ratio):
            return f"{bound}: met"
        return f"{bound}: missed by {abs(ratio / self.ratio - 1):.0%}"


@dataclass(frozen=True)
class Row:
    """A comparison.

    Attributes:
        key: a short name, for other programs.
        what: what is measured, with the unit of both figures.
        other: what ours is compared with.
        rounds: ours and the other, in turn.
        is_time: whether the figures are seconds: then the ratio is the other's to ours, else ours to the
            other's, so that of speeds a larger one is always the better.
        is_size: whether they are bytes rather than speeds.
        digits: shown of the figures after the decimal point.
        target: what the ratio should be, if that was set.
    """

    key: str
    what: str
    other: str
    rounds: tuple[tuple[float, float], ...]
    is_time: bool = False
    is_size: bool = False
    digits: int = 0
    target: Target | None = None

    @property
    def ours(self) -> Spread:
        """Our figure."""
        return Spread.of([ours for ours, _ in self.rounds])

    @property
    def others(self) -> Spread:
        """The other side's."""
        return Spread.of([other for _, other in self.rounds])

    @property
    def ratio(self) -> Spread:
        """Taken round by round, so that what slows a whole round falls out."""
        return Spread.of([other / ours if self.is_time else ours / other for ours, other in self.rounds])

    @property
    def ratio_digits(self) -> int:
        """How many digits after the point a ratio of this size is shown with."""
        median = self.ratio.median
        return 2 if median < 2 else 1 if median < 20 else 0

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """For a table: what, the other, our median, the other's, ratio with its spread, target."""
        ratio, digits = self.ratio, self.ratio_digits
        return (
            self.what,
            self.other,
            f"{self.ours.median:,.{self.digits}f}",
            f"{self.others.median:,.{self.digits}f}",
            ratio.text(digits) if len(self.rounds) > 1 else f"{ratio.median:.{digits}f}",
            self.target.text(ratio.median) if self.target else "",
        )


def rows_to_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Plain values; the ratio stands there for people, the rounds are what counts."""
    return {"rows": [{**asdict(row), "ratio": asdict(row.ratio)} for row in rows]}


def rows_of(document: dict[str, Any]) -> list[Row]:
    """The rows of a file of results; the inverse of `rows_to_json`."""
    rows = []
    for data in document["rows"]:
        fields = {name: value for name, value in data.items() if name != "ratio"}
        fields["rounds"] = tuple((ours, other) for ours, other in data["rounds"])
        fields["target"] = Target(**data["target"]) if data["target"] else None
        rows.append(Row(**fields))
    return rows


def table(rows: Sequence[Row]) -> str:
    """A markdown table of rows."""
    heading = "| | compared with | Moving Lines | the other | ratio | target |\n|---|---|---:|---:|---:|---|"
    return "\n".join([heading, *(f"| {' | '.join(row.cells())} |" for row in rows)])
