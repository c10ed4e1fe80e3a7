"""95 % confidence intervals."""

from __future__ import annotations

import math

LEVEL = 0.95
Z = 1.959963984540054  # 97.5th percentile of the standard normal distribution.


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Score interval of a proportion (E. B. Wilson, JASA 22, 1927); count at least 1."""
    proportion = successes / count
    denominator = 1 + Z**2 / count
    center = (proportion + Z**2 / (2 * count)) / denominator
    spread = proportion * (1 - proportion) / count + Z**2 / (4 * count**2)
    half = Z / denominator * math.sqrt(spread)
    # At 0 and 1 the interval ends exactly there; rounding would miss it by an epsilon.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == count else center + half
    return low, high


def normal_interval(
    estimate: float, variance: float, lowest: float = 0.0, highest: float = 1.0
) -> tuple[float, float]:
    """Interval of an estimate that is about normal, with this variance of its own; kept within its range."""
    half = Z * math.sqrt(max(variance, 0.0))
    return max(lowest, estimate - half), min(highest, estimate + half)


def proportion(successes: int, count: int) -> tuple[float | None, list[float] | None]:
    """A proportion and its Wilson interval; None for both of nothing."""
    if not count:
        return None, None
    return successes / count, list(wilson_interval(successes, count))
