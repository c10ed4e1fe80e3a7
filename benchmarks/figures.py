"""Figures measured over several rounds: their spread, and two of them compared."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


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
class Comparison:
    """Two figures that were measured in turn.

    Attributes:
        first, second: the figures.
        ratio: first / second, taken round by round, so that what slows a whole round falls out.
    """

    first: Spread
    second: Spread
    ratio: Spread

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Comparison:
        """Compare the pairs of all rounds."""
        first, second = zip(*pairs, strict=True)
        return cls(Spread.of(first), Spread.of(second), Spread.of([one / other for one, other in pairs]))

    def row(self, name: str, digits: int, note: str) -> str:
        """A row of a markdown table: name, first, second, ratio, note."""
        cells = (name, self.first.text(digits), self.second.text(digits), self.ratio.text(2), note)
        return f"| {' | '.join(cells)} |"


def verdict(target: str, met: bool) -> str:
    """A target and whether it was met, for a table."""
    return f"{target}: {'met' if met else 'missed'}"
