"""Metrics of a binary classifier from its scores, in float64 and exact over every sequence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

_CALIBRATION_BINS = 15
_Z_95 = 1.959963984540054  # 97.5th percentile of the standard normal distribution.


def binary_metrics(scores: Scores, labels: Labels) -> dict[str, Any]:
    """All metrics at once; the positive class is 1 = right, the threshold 0.5.

    Args:
        scores: probabilities of class 1, shape (n,), n at least 1.
        labels: 0 or 1, shape (n,).

    Returns:
        Plain numbers, finite or None where a metric is not defined: ``roc_auc`` with one class missing,
        ``precision`` without positive predictions, ``recall`` without positive labels, ``f1`` without either.
        ``accuracy_interval`` is Wilson's at 95 %. ``confusion_matrix[label][prediction]`` counts sequences.
    """
    scores = np.asarray(scores, np.float64)
    positive = np.asarray(labels) == 1
    predicted = scores > 0.5
    true_positives = int(np.sum(predicted & positive))
    false_positives = int(np.sum(predicted & ~positive))
    false_negatives = int(np.sum(~predicted & positive))
    true_negatives = int(np.sum(~predicted & ~positive))
    correct, count = true_positives + true_negatives, len(scores)
    return {
        "loss": log_loss(scores, positive),
        "accuracy": correct / count,
        "accuracy_interval": list(wilson_interval(correct, count)),
        "errors": count - correct,
        "precision": _ratio(true_positives, true_positives + false_positives),
        "recall": _ratio(true_positives, true_positives + false_negatives),
        "f1": _ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        "roc_auc": roc_auc(scores, positive),
        "brier_score": float(np.mean((scores - positive) ** 2)),
        "expected_calibration_error": expected_calibration_error(scores, positive),
        "confusion_matrix": [[true_negatives, false_positives], [false_negatives, true_positives]],
    }


def log_loss(scores: Scores, positive: npt.NDArray[np.bool_]) -> float:
    """Mean binary cross-entropy in nats; scores are kept a float64 epsilon away from 0 and 1."""
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(scores, epsilon, 1 - epsilon)
    return float(-np.mean(np.where(positive, np.log(clipped), np.log1p(-clipped))))


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % score interval of a proportion (E. B. Wilson, JASA 22, 1927)."""
    proportion = successes / count
    denominator = 1 + _Z_95**2 / count
    center = (proportion + _Z_95**2 / (2 * count)) / denominator
    spread = proportion * (1 - proportion) / count + _Z_95**2 / (4 * count**2)
    half = _Z_95 / denominator * math.sqrt(spread)
    # At 0 and 1 the interval ends exactly there; rounding would miss it by an epsilon.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == count else center + half
    return low, high


def roc_auc(scores: Scores, positive: npt.NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties counted half.

    By the Mann-Whitney statistic over mid-ranks; None if a class is missing.
    """
    positives = int(np.sum(positive))
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = float(np.sum(mid_ranks[group][positive]))
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def expected_calibration_error(scores: Scores, positive: npt.NDArray[np.bool_]) -> float:
    """Mean |share of class 1 - mean score| over 15 equal bins of the score, weighted by their counts.

    Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    bins = np.minimum((scores * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=positive - scores, minlength=_CALIBRATION_BINS)
    return float(np.sum(np.abs(gaps)) / len(scores))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
