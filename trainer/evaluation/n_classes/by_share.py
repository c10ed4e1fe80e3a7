"""Accuracy and confidence after each tenth of the frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.intervals import wilson_interval

NUM_SHARES = 10


class ShareTally:
    """Sums over sequences, after 10 %, 20 % ... 100 % of their frames."""

    def __init__(self) -> None:
        self._count = 0
        self._correct = np.zeros(NUM_SHARES, np.int64)
        self._confidence = np.zeros(NUM_SHARES)

    def add(self, probabilities: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> None:
        """Add sequences: probabilities (n, 10, N), and labels (n,)."""
        self._count += len(labels)
        self._correct += (probabilities.argmax(-1) == labels[:, None]).sum(0)
        self._confidence += probabilities.max(-1).sum(0, dtype=np.float64)

    def rows(self) -> list[dict[str, Any]] | None:
        """The part ``accuracy_by_share``: a row per share; None if no sequence was added.

        Confidence is the probability of the predicted class. The interval of the accuracy is Wilson's.
        """
        if not self._count:
            return None
        return [
            {
                "share": (index + 1) / NUM_SHARES,
                "accuracy": correct / self._count,
                "accuracy_interval": list(wilson_interval(correct, self._count)),
                "mean_confidence": float(self._confidence[index] / self._count),
            }
            for index, correct in enumerate(self._correct.tolist())
        ]
