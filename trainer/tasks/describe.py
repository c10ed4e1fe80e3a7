"""Describe: write a caption, token by token. Losses and metrics take logits (batch, L, V).

Labels are the tokens of captions, integers (batch, L); where they are `PAD`, nothing counts.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.captions import PAD, is_token


class TokenCrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy in nats, summed over the tokens of a caption and divided by a constant.

    The constant, the mean number of tokens of a training's captions, makes it a number a token. A mean over
    the tokens of a batch would weigh each by how long the other captions of its batch are, and that of every
    replica by itself; this way all tokens of a run weigh the same, however batches are shared, and means over
    batches are those over all captions.

    Args:
        mean_tokens: the constant.
    """

    def __init__(self, mean_tokens: float) -> None:
        super().__init__(name="cross_entropy")
        self._mean_tokens = mean_tokens

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Losses, (batch,), of labels and logits."""
        return ops.sum(token_losses(y_true, y_pred), axis=-1) / self._mean_tokens


class MeanOverTokens(keras.metrics.Metric):
    """The mean of a function over all tokens: a sum and a count over batches, replicas and processes.

    Args:
        function: of labels and logits, to values, float32 (batch, L), 0 where labels are `PAD`.
        name: of the metric.
    """

    def __init__(self, function: Any, name: str) -> None:
        super().__init__(name=name)
        self._function = function
        self._total = self.add_variable((), "zeros", name="total")
        self._count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; weights are of captions, (batch,)."""
        counts, values = is_real(y_true), self._function(y_true, y_pred)
        if sample_weight is not None:
            weights = ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
            values, counts = values * weights, counts * weights
        self._total.assign_add(ops.sum(values))
        self._count.assign_add(ops.sum(counts))

    def result(self) -> Any:
        """The mean; 0 before the first token."""
        return ops.divide_no_nan(self._total, self._count)


class Perplexity(MeanOverTokens):
    """The exponential of the mean cross-entropy over all tokens."""

    def __init__(self) -> None:
        super().__init__(token_losses, "perplexity")

    def result(self) -> Any:
        """The perplexity."""
        return ops.exp(super().result())


def token_losses(labels: Any, logits: Any) -> Any:
    """Cross-entropy of every token in nats, (batch, L), 0 where there is padding."""
    is_label = is_token(labels, logits.shape[-1], logits.dtype)
    return -ops.sum(is_label * ops.log_softmax(logits), axis=-1) * is_real(labels)


def is_top_token(labels: Any, logits: Any) -> Any:
    """1 where no token is more probable than the label, else and in padding 0: float32 (batch, L)."""
    is_label = is_token(labels, logits.shape[-1], logits.dtype)
    at_label = ops.sum(is_label * logits, axis=-1)
    return ops.cast(at_label >= ops.max(logits, axis=-1), "float32") * is_real(labels)


def is_real(labels: Any) -> Any:
    """1 where there is a token, 0 where there is padding: float32 (batch, L)."""
    return ops.cast(ops.not_equal(ops.cast(labels, "float32"), PAD), "float32")
