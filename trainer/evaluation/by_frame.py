"""Accuracy and confidence after each frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.intervals import normal_interval, wilson_interval

_ACCURACY_THRESHOLD = 0.99


class FrameTally:
    """Sums over sequences, for each frame.

    Args:
        num_frames: number of frames in a sequence, T.
    """

    def __init__(self, num_frames: int) -> None:
        self._count = 0
        self._correct = np.zeros(num_frames, np.int64)
        self._confidence = np.zeros(num_frames)
        self._squares = np.zeros(num_frames)

    def add(self, right: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> None:
        """Add sequences: probabilities of "right" after each frame (n, T), and labels, 0 or 1 (n,)."""
        right = right.astype(np.float64)
        confidence = np.maximum(right, 1 - right)
        self._count += len(labels)
        self._correct += ((right > 0.5) == (labels == 1)[:, None]).sum(0)
        self._confidence += confidence.sum(0)
        self._squares += (confidence**2).sum(0)

    def document(self) -> dict[str, Any]:
        """The part ``accuracy_by_frame``: a row per frame, and the first frame with at least 99 % accuracy.

        Confidence is the probability of the predicted class. Intervals cover 95 %: Wilson's for the accuracy,
        normal for the mean confidence (None for a single sequence).
        """
        rows: list[dict[str, Any]] = []
        for frame, correct in enumerate(self._correct.tolist()):
            mean = float(self._confidence[frame] / self._count)
            interval = None
            if self._count > 1:
                variance = (self._squares[frame] / self._count - mean**2) / (self._count - 1)
                interval = list(normal_interval(mean, float(variance)))
            rows.append(
                {
                    "num_frames": frame + 1,
                    "accuracy": correct / self._count,
                    "accuracy_interval": list(wilson_interval(correct, self._count)),
                    "mean_confidence": mean,
                    "mean_confidence_interval": interval,
                }
            )
        reached = (row["num_frames"] for row in rows if row["accuracy"] >= _ACCURACY_THRESHOLD)
        return {"first_frame_at_99_percent": next(reached, None), "frames": rows}
