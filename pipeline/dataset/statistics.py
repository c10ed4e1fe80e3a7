"""Statistics of examples, which add up over shards, and tests of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol, Self

# Below this it is no accident: of right data sets, each with 15 tests, one in 67,000 falls below it.
SIGNIFICANCE = 1e-6


class Statistics(Protocol):
    """Counts over the examples of a block, a shard or a split."""

    def __add__(self, other: Any, /) -> Self:
        """Of the examples of both."""
        ...

    def to_json(self) -> dict[str, Any]:
        """As they stand in the manifest."""
        ...

    def __str__(self) -> str:
        """The classes, for people: ``12 left, 13 right``."""
        ...


def total(statistics: Iterable[Statistics]) -> Statistics:
    """The sum of statistics, of which there is at least one."""
    return reduce(add, statistics)


@dataclass(frozen=True)
class ChiSquaredTest:
    """Whether counts of a split may come from the definition: Pearson's chi-squared test.

    Attributes:
        split: whose examples were counted.
        counts: what was counted.
        total: how many were counted.
        statistic: Pearson's chi-squared.
        degrees_of_freedom: possible outcomes less one.
        p_value: probability of a statistic at least as large if the definition holds; None if too few were
            counted to tell.
    """

    split: str
    counts: str
    total: int
    statistic: float
    degrees_of_freedom: int
    p_value: float | None

    @property
    def holds(self) -> bool:
        """Whether the counts may come from the definition."""
        return self.p_value is None or self.p_value >= SIGNIFICANCE

    def to_json(self) -> dict[str, Any]:
        """As it stands in the report of a verification."""
        return {**asdict(self), "holds": self.holds}
