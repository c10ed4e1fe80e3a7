"""Classify: tell which of N classes an example is of. Losses and metrics take logits (batch, N).

Labels are numbers of classes, any dtype, (batch, 1), as `trainer.input.records.Records.batches` gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class CrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy in nats.

    Args:
        class_weights: factor of the loss of every class; None weighs all by 1.
        label_smoothing: share of every label that is spread evenly over all classes (Szegedy et al., 2016).
    """

    def __init__(self, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(name="cross_entropy")
        self._class_weights = class_weights
        self._label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Losses, (batch,), of labels and logits."""
        labels = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        log_probabilities = ops.log_softmax(y_pred)
        # A product with zeros and ones: gathering has no deterministic gradient on every device.
        is_label = ops.one_hot(labels, y_pred.shape[-1], dtype=log_probabilities.dtype)
        losses = -ops.sum(is_label * log_probabilities, axis=-1)
        if self._label_smoothing:
            spread = -ops.mean(log_probabilities, axis=-1)
            losses = (1 - self._label_smoothing) * losses + self._label_smoothing * spread
        if self._class_weights is not None:
            weights = ops.convert_to_tensor(self._class_weights, losses.dtype)
            losses = losses * ops.sum(is_label * weights, axis=-1)
        return losses


def is_top(labels: Any, logits: Any) -> Any:
    """Whether the most probable class is the label, (batch,)."""
    labels = ops.cast(ops.reshape(labels, (-1,)), "int32")
    return ops.equal(labels, ops.cast(ops.argmax(logits, axis=-1), "int32"))


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights of classes that make all of them count alike: n / (N * count), as in scikit-learn."""
    return [sum(counts) / (len(counts) * count) for count in counts]
