"""How well scores rank the classes: area under the ROC curve, its interval, and the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.intervals import normal_interval

Scores = npt.NDArray[np.floating[Any]]

_BLOCK = 65_536


@dataclass(frozen=True)
class Ranking:
    """Scores of each class, ascending.

    Attributes:
        positives: of class 1.
        negatives: of class 0.
    """

    positives: Scores
    negatives: Scores

    @classmethod
    def of(cls, scores: Scores, positive: npt.NDArray[np.bool_]) -> Ranking:
        """Sort scores (n,) by class (n,)."""
        return cls(np.sort(scores[positive]), np.sort(scores[~positive]))

    def roc_auc(self) -> tuple[float | None, list[float] | None]:
        """Area under the ROC curve, P(score of a positive > score of a negative) with ties counted half.

        Exact but for the last division. The interval is DeLong's (E. R. DeLong, D. M. DeLong and
        D. L. Clarke-Pearson, Biometrics 44, 1988), normal and kept within 0 and 1; a perfect ranking has a
        variance of 0 by it, and an interval without width.

        Returns:
            The area and its 95 % interval; None if a class is missing, and no interval for a class of one.
        """
        num_positives, num_negatives = len(self.positives), len(self.negatives)
        if not num_positives or not num_negatives:
            return None, None
        above, squares = _twice_placed(self.positives, self.negatives)
        below, squares_of_negatives = _twice_placed(self.negatives, self.positives)
        area = above / (2 * num_positives * num_negatives)
        if num_positives == 1 or num_negatives == 1:
            return area, None
        variance = _variance(above, squares, num_positives, num_negatives) / num_positives
        # Of negatives, the share of positives above is 1 minus the share below: the variance is the same.
        variance += _variance(below, squares_of_negatives, num_negatives, num_positives) / num_negatives
        return area, list(normal_interval(area, variance))

    def curve(self, num_points: int = 400) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points of the ROC curve: false and true positive rates, both from 0 to 1, ascending.

        At so many thresholds, evenly spaced among the scores of both classes; both classes must be there.
        """
        both = np.sort(np.concatenate([self.positives, self.negatives]))
        thresholds = np.unique(both[np.linspace(0, len(both) - 1, num_points).round().astype(int)])[::-1]
        rates = []
        for scores in (self.negatives, self.positives):
            reached = len(scores) - np.searchsorted(scores, thresholds, "left")
            rates.append(np.concatenate([[0.0], reached / len(scores), [1.0]]))
        return rates[0], rates[1]


def _twice_placed(scores: Scores, others: Scores) -> tuple[int, int]:
    """Sum, and sum of squares, over the scores of 2 * (others below) + (others equal)."""
    total = squares = 0
    for start in range(0, len(scores), _BLOCK):
        block = scores[start : start + _BLOCK]
        twice = np.searchsorted(others, block, "left") + np.searchsorted(others, block, "right")
        total += int(twice.sum())
        squares += sum(value * value for value in twice.tolist())  # Beyond 64 bits for millions of scores.
    return total, squares


def _variance(total: int, squares: int, count: int, num_others: int) -> float:
    """Sample variance of ``count`` shares of the others, from sum and squares of twice their numbers.

    In whole numbers, for nothing is left of the difference of two floats if the ranking is nearly perfect.
    """
    return (count * squares - total**2) / (count * (count - 1) * 4 * num_others**2)
