"""Metrics of a classifier of N classes, computed in float64 over all sequences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.calibration import Reliability
from trainer.evaluation.intervals import proportion

Probabilities = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

_TOP_K = (3, 5, 10)
_BLOCK_NUMBERS = 2**20


def class_metrics(probabilities: Probabilities, labels: Labels, class_names: Sequence[str]) -> dict[str, Any]:
    """Compute all metrics; a prediction is the class of the highest probability, the first one of equals.

    Args:
        probabilities: shape (n, N), n at least 1.
        labels: classes, shape (n,).
        class_names: names of the N classes.

    Returns:
        Metrics by name, as finite Python numbers; None where one is not defined. ``loss`` is the mean
        cross-entropy in nats, with probabilities clipped to a float64 epsilon from 0 and 1. ``top_k`` counts
        labels among the k most probable classes. ``brier_score`` is the mean squared distance from the label,
        from 0 to 2. ``reliability`` and ``expected_calibration_error`` take the probability of the predicted
        class as score. ``confusion_matrix[label][prediction]`` counts sequences.

        Of a class, precision is None without predictions, recall without labels, F1 without either. Means
        over classes leave None out: ``macro_precision``, ``macro_recall``, which is ``balanced_accuracy``,
        and ``macro_f1``. scikit-learn computes the same with ``zero_division=nan``.

        Intervals cover 95 % and are Wilson's, as if sequences were independent.
    """
    num_classes, count = len(class_names), len(labels)
    losses, squares, reliability = [], [], Reliability()
    matrix = np.zeros(num_classes**2, np.int64)
    ranks = np.zeros(num_classes, np.int64)
    epsilon = np.finfo(np.float64).eps
    size = max(1, _BLOCK_NUMBERS // num_classes)
    for start in range(0, count, size):
        block = np.array(probabilities[start : start + size], np.float64)  # Changed below: a copy.
        classes = np.asarray(labels[start : start + size], np.int64)
        rows, predicted = np.arange(len(classes)), block.argmax(1)
        of_labels = block[rows, classes]
        losses.append(float(-np.log(np.clip(of_labels, epsilon, 1 - epsilon)).sum()))
        matrix += np.bincount(classes * num_classes + predicted, minlength=num_classes**2)
        ranks += np.bincount(_ranks(block, classes, of_labels), minlength=num_classes)
        reliability.add(block[rows, predicted], predicted == classes)
        block[rows, classes] -= 1
        squares.append(float((block**2).sum()))
    counts = matrix.reshape(num_classes, num_classes)
    accuracy, accuracy_interval = proportion(int(ranks[0]), count)
    per_class = _per_class(counts, class_names)
    recall = _mean(per_class, "recall")
    return {
        "loss": math.fsum(losses) / count,
        "accuracy": accuracy,
        "accuracy_interval": accuracy_interval,
        "errors": count - int(ranks[0]),
        "top_k": {str(k): int(ranks[:k].sum()) / count for k in _TOP_K if k < num_classes},
        "balanced_accuracy": recall,
        "macro_precision": _mean(per_class, "precision"),
        "macro_recall": recall,
        "macro_f1": _mean(per_class, "f1"),
        "brier_score": math.fsum(squares) / count,
        "expected_calibration_error": reliability.expected_calibration_error(),
        "reliability": reliability.table(),
        "confusion_matrix": counts.tolist(),
        "per_class": per_class,
    }


def _ranks(
    block: npt.NDArray[np.float64], classes: npt.NDArray[np.int64], of_labels: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Number of classes that come before the label: the more probable, and the first ones of equals."""
    more = block > of_labels[:, None]
    equal_before = (block == of_labels[:, None]) & (np.arange(block.shape[1]) < classes[:, None])
    ranks: npt.NDArray[np.int64] = (more | equal_before).sum(1)
    return ranks


def _per_class(counts: npt.NDArray[np.int64], class_names: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {}
    numbers = zip(class_names, counts.diagonal().tolist(), counts.sum(1), counts.sum(0), strict=True)
    for name, correct, support, predictions in numbers:
        precision, precision_interval = proportion(correct, int(predictions))
        recall, recall_interval = proportion(correct, int(support))
        both = int(support + predictions)
        found[name] = {
            "num_sequences": int(support),
            "precision": precision,
            "precision_interval": precision_interval,
            "recall": recall,
            "recall_interval": recall_interval,
            "f1": 2 * correct / both if both else None,
        }
    return found


def _mean(per_class: dict[str, dict[str, Any]], name: str) -> float:
    values = [row[name] for row in per_class.values() if row[name] is not None]
    return math.fsum(values) / len(values)
