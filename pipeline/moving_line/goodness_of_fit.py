"""Do counts follow the definition? Pearson's chi-squared test against the probabilities that it gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from pipeline.moving_line.lines import CLASS_NAMES
from pipeline.moving_line.statistics import STEP_PLACES, Statistics

# Below this it is no accident: of right data sets, each with 15 tests, one in 67,000 falls below it.
SIGNIFICANCE = 1e-6
# With fewer expected in a cell the statistic is not distributed as chi-squared (Cochran 1954).
_MIN_EXPECTED = 5

# Of a step of -1, 0 and +1, by the place where it starts.
STEP_PROBABILITIES = {
    "interior": (1 / 3, 1 / 3, 1 / 3),
    "lower_border": (0.0, 1 / 2, 1 / 2),
    "upper_border": (1 / 2, 1 / 2, 0.0),
}


@dataclass(frozen=True)
class Fit:
    """One test.

    Attributes:
        split: whose sequences were counted.
        counts: what was counted: "labels", "start_rows", or "steps" at a place.
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


def fits(split: str, statistics: Statistics) -> list[Fit]:
    """Test labels, start rows and the steps at every place that the image size has."""
    size = len(statistics.start_rows)
    tests = [
        _fit(split, "labels", statistics.labels, np.full(len(CLASS_NAMES), 1 / len(CLASS_NAMES))),
        _fit(split, "start_rows", statistics.start_rows, np.full(size, 1 / size)),
    ]
    for place, counts in zip(STEP_PLACES, statistics.steps, strict=True):
        if place == "interior" and size == 2:
            continue  # Both rows are borders.
        tests.append(_fit(split, f"steps_{place}", counts, np.array(STEP_PROBABILITIES[place])))
    return tests


def _fit(split: str, name: str, counts: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]) -> Fit:
    total = int(counts.sum())
    possible = probabilities > 0
    freedom = int(possible.sum()) - 1
    if counts[~possible].any():  # Something happened that cannot.
        return Fit(split, name, total, float("inf"), freedom, 0.0)
    expected = total * probabilities[possible]
    if not total or expected.min() < _MIN_EXPECTED:
        return Fit(split, name, total, 0.0, freedom, None)
    statistic = float(((counts[possible] - expected) ** 2 / expected).sum())
    return Fit(split, name, total, statistic, freedom, float(chdtrc(freedom, statistic)))
