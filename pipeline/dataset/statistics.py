"""The interface of statistics of examples, and the result of a chi-squared test of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol, Self

# A smaller p-value fails a test. With 15 tests, one correct data set in 67,000 has a smaller one by chance.
SIGNIFICANCE = 1e-6


class Statistics(Protocol):
    """Counts over the examples of a block, a shard or a split; the sum counts the examples of both."""

    def __add__(self, other: Any, /) -> Self:
        """Statistics of the examples of both."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The counts as the manifest stores them, in JSON values."""
        ...

    def __str__(self) -> str:
        """Number of examples by class, as text: ``12 left, 13 right``."""
        ...


def total(statistics: Iterable[Statistics]) -> Statistics:
    """The sum of ``statistics``, at least one."""
    return reduce(add, statistics)


@dataclass(frozen=True)
class ChiSquaredTest:
    """Result of Pearson's chi-squared test of a split's counts against the definition's probabilities.

    Attributes:
        split: name of the split.
        counts: name of the counts.
        total: sum of the counts.
        statistic: Pearson's chi-squared statistic.
        degrees_of_freedom: number of possible outcomes minus 1.
        p_value: probability of a statistic at least as large if the definition holds; None if the counts are
            too small for the test.
    """

    split: str
    counts: str
    total: int
    statistic: float
    degrees_of_freedom: int
    p_value: float | None

    @property
    def holds(self) -> bool:
        """Whether the p-value is at least `SIGNIFICANCE`, or None."""
        return self.p_value is None or self.p_value >= SIGNIFICANCE

    def to_json(self) -> dict[str, Any]:
        """The result as the report of a verification stores it."""
        return {**asdict(self), "holds": self.holds}
