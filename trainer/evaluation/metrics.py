"""Metrics of a binary classifier from its scores, computed in float64 over all sequences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.calibration import Reliability
from trainer.evaluation.intervals import proportion
from trainer.evaluation.ranking import BLOCK_SIZE, Ranking, Scores

Labels = npt.NDArray[np.integer[Any]]


def binary_metrics(scores: Scores, labels: Labels) -> dict[str, Any]:
    """Compute all metrics; the positive class is 1, "right", and the threshold is 0.5.

    Needs memory for one sorted copy of the scores, and otherwise a constant amount.

    Args:
        scores: probabilities of class 1, shape (n,), n at least 1.
        labels: 0 or 1, shape (n,).

    Returns:
        Metrics by name, as finite Python numbers. Undefined ones are None: ``roc_auc`` if a class is missing,
        ``precision`` without positive predictions, ``recall`` without positive labels, ``f1`` without either.
        Intervals cover 95 %: DeLong's for ``roc_auc``, Wilson's for the others.
        ``confusion_matrix[label][prediction]`` counts sequences. ``loss`` is the mean binary cross-entropy in
        nats, with scores clipped to a float64 epsilon from 0 and 1.
    """
    losses, squares, reliability = [], [], Reliability()
    matrix = np.zeros((2, 2), np.int64)
    epsilon = np.finfo(np.float64).eps
    for start in range(0, len(scores), BLOCK_SIZE):
        block = np.asarray(scores[start : start + BLOCK_SIZE], np.float64)
        positive = np.asarray(labels[start : start + BLOCK_SIZE]) == 1
        np.add.at(matrix, (positive.astype(int), (block > 0.5).astype(int)), 1)
        clipped = np.clip(block, epsilon, 1 - epsilon)
        losses.append(float(-np.where(positive, np.log(clipped), np.log1p(-clipped)).sum()))
        squares.append(float(((block - positive) ** 2).sum()))
        reliability.add(block, positive)
    (true_negatives, false_positives), (false_negatives, true_positives) = matrix.tolist()
    count = len(scores)
    correct = true_positives + true_negatives
    accuracy, accuracy_interval = proportion(correct, count)
    precision, precision_interval = proportion(true_positives, true_positives + false_positives)
    recall, recall_interval = proportion(true_positives, true_positives + false_negatives)
    wrong = false_positives + false_negatives
    roc_auc, roc_auc_interval = Ranking.of(scores, np.asarray(labels) == 1).roc_auc()
    return {
        "loss": math.fsum(losses) / count,
        "accuracy": accuracy,
        "accuracy_interval": accuracy_interval,
        "errors": wrong,
        "precision": precision,
        "precision_interval": precision_interval,
        "recall": recall,
        "recall_interval": recall_interval,
        "f1": 2 * true_positives / (2 * true_positives + wrong) if true_positives + wrong else None,
        "roc_auc": roc_auc,
        "roc_auc_interval": roc_auc_interval,
        "brier_score": math.fsum(squares) / count,
        "expected_calibration_error": reliability.expected_calibration_error(),
        "reliability": reliability.table(),
        "confusion_matrix": matrix.tolist(),
    }
