"""A figure measured over several rounds."""

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

    def meets(self, other: Spread) -> bool:
        """Whether the two ranges have a value in common."""
        return self.low <= other.high and other.low <= self.high
