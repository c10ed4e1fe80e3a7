"""Pearson's chi-squared tests of the statistics against the definition's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import chdtrc

from pipeline.dataset.statistics import ChiSquaredTest
from pipeline.moving_line.lines import CLASS_NAMES
from pipeline.moving_line.statistics import STEP_PLACES, LineStatistics

# Smallest expected count of an outcome. With less, the statistic is not chi-squared distributed (Cochran
# 1954).
_MIN_EXPECTED = 5

# Probabilities of the steps -1, 0 and +1, by the place where the step starts.
STEP_PROBABILITIES = {
    "interior": (1 / 3, 1 / 3, 1 / 3),
    "lower_border": (0.0, 1 / 2, 1 / 2),
    "upper_border": (1 / 2, 1 / 2, 0.0),
}


def chi_squared_tests(split: str, statistics: LineStatistics) -> list[ChiSquaredTest]:
    """Tests of labels, start rows, and steps from each place; without "interior" if S = 2."""
    size = len(statistics.start_rows)
    tests = [
        _test(split, "labels", statistics.labels, np.full(len(CLASS_NAMES), 1 / len(CLASS_NAMES))),
        _test(split, "start_rows", statistics.start_rows, np.full(size, 1 / size)),
    ]
    for place, counts in zip(STEP_PLACES, statistics.steps, strict=True):
        if place == "interior" and size == 2:
            continue  # Both rows are borders.
        tests.append(_test(split, f"steps_{place}", counts, np.array(STEP_PROBABILITIES[place])))
    return tests


def _test(
    split: str, name: str, counts: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]
) -> ChiSquaredTest:
    total = int(counts.sum())
    possible = probabilities > 0
    freedom = int(possible.sum()) - 1
    if counts[~possible].any():  # An outcome of probability 0 occurred.
        return ChiSquaredTest(split, name, total, float("inf"), freedom, 0.0)
    expected = total * probabilities[possible]
    if not total or expected.min() < _MIN_EXPECTED:
        return ChiSquaredTest(split, name, total, 0.0, freedom, None)
    statistic = float(((counts[possible] - expected) ** 2 / expected).sum())
    return ChiSquaredTest(split, name, total, statistic, freedom, float(chdtrc(freedom, statistic)))
