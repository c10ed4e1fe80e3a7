"""95 % confidence intervals."""

from __future__ import annotations

import math

LEVEL = 0.95
Z = 1.959963984540054  # 97.5th percentile of the standard normal distribution.


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927), for a count of at least 1."""
    proportion = successes / count
    denominator = 1 + Z**2 / count
    center = (proportion + Z**2 / (2 * count)) / denominator
    spread = proportion * (1 - proportion) / count + Z**2 / (4 * count**2)
    half = Z / denominator * math.sqrt(spread)
    # Exact at 0 and 1, which rounding would miss by an epsilon.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == count else center + half
    return low, high


def normal_interval(
    estimate: float, variance: float, lowest: float = 0.0, highest: float = 1.0
) -> tuple[float, float]:
    """Interval of an approximately normal estimate.

    Args:
        estimate: the estimate.
        variance: variance of the estimate.
        lowest, highest: range to which the interval is clipped.
    """
    half = Z * math.sqrt(max(variance, 0.0))
    return max(lowest, estimate - half), min(highest, estimate + half)


def proportion(successes: int, count: int) -> tuple[float | None, list[float] | None]:
    """A proportion and its Wilson interval; both None for a count of 0."""
    if not count:
        return None, None
    return successes / count, list(wilson_interval(successes, count))
