"""The ROC curve of scores, and the area under it with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.intervals import normal_interval

Scores = npt.NDArray[np.floating[Any]]

# Scores converted to float64, or compared, at once: bounds the memory.
BLOCK_SIZE = 65_536


@dataclass(frozen=True)
class Ranking:
    """Sorted scores of each class.

    Attributes:
        positives: scores of class 1, ascending.
        negatives: scores of class 0, ascending.
    """

    positives: Scores
    negatives: Scores

    @classmethod
    def of(cls, scores: Scores, positive: npt.NDArray[np.bool_]) -> Ranking:
        """Sort scores (n,) by class (n,)."""
        return cls(np.sort(scores[positive]), np.sort(scores[~positive]))

    def roc_auc(self) -> tuple[float | None, list[float] | None]:
        """Area under the ROC curve: P(score of a positive > score of a negative), ties counted half.

        Computed in integers, except for the last division. The interval is DeLong's (E. R. DeLong,
        D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44, 1988), clipped to 0 and 1. A perfect ranking has
        a variance of 0, so its interval has no width.

        Returns:
            The area, None if a class is missing; and its 95 % interval, None if a class has fewer than two.
        """
        num_positives, num_negatives = len(self.positives), len(self.negatives)
        if not num_positives or not num_negatives:
            return None, None
        above, squares = _doubled_rank_sums(self.positives, self.negatives)
        below, squares_of_negatives = _doubled_rank_sums(self.negatives, self.positives)
        area = above / (2 * num_positives * num_negatives)
        if num_positives == 1 or num_negatives == 1:
            return area, None
        variance = _variance(above, squares, num_positives, num_negatives) / num_positives
        # For a negative, the share of positives above is 1 minus the share below, with the same variance.
        variance += _variance(below, squares_of_negatives, num_negatives, num_positives) / num_negatives
        return area, list(normal_interval(area, variance))

    def curve(self, num_points: int = 400) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points of the ROC curve; both classes must have scores.

        Args:
            num_points: number of thresholds, evenly spaced among the sorted scores of both classes.

        Returns:
            False positive rates and true positive rates, float64, each ascending from 0 to 1.
        """
        both = np.sort(np.concatenate([self.positives, self.negatives]))
        thresholds = np.unique(both[np.linspace(0, len(both) - 1, num_points).round().astype(int)])[::-1]
        rates = []
        for scores in (self.negatives, self.positives):
            above = len(scores) - np.searchsorted(scores, thresholds, "left")
            rates.append(np.concatenate([[0.0], above / len(scores), [1.0]]))
        return rates[0], rates[1]


def _doubled_rank_sums(scores: Scores, others: Scores) -> tuple[int, int]:
    """Sum, and sum of squares, over all scores of 2 * (number of others below) + (number equal)."""
    total = squares = 0
    for start in range(0, len(scores), BLOCK_SIZE):
        block = scores[start : start + BLOCK_SIZE]
        twice = np.searchsorted(others, block, "left") + np.searchsorted(others, block, "right")
        total += int(twice.sum())
        squares += sum(value * value for value in twice.tolist())  # May exceed 64 bits.
    return total, squares


def _variance(total: int, squares: int, count: int, num_others: int) -> float:
    """Sample variance of ``count`` ranks as shares of the others, from the sums of `_doubled_rank_sums`.

    Computed in integers: for a nearly perfect ranking the difference of two floats would have no digits left.
    """
    return (count * squares - total**2) / (count * (count - 1) * 4 * num_others**2)
