"""How early the model knows: accuracy and confidence after every frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.intervals import normal_interval, wilson_interval

_KNOWS_AT = 0.99


class FrameTally:
    """Sums over sequences, a number a frame.

    Args:
        num_frames: T.
    """

    def __init__(self, num_frames: int) -> None:
        self._count = 0
        self._correct = np.zeros(num_frames, np.int64)
        self._confidence = np.zeros(num_frames)
        self._squares = np.zeros(num_frames)

    def add(self, right: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.integer[Any]]) -> None:
        """Take the probabilities of "right" (n, T) after each frame, and labels (n,)."""
        right = right.astype(np.float64)
        confidence = np.maximum(right, 1 - right)
        self._count += len(labels)
        self._correct += ((right > 0.5) == (labels == 1)[:, None]).sum(0)
        self._confidence += confidence.sum(0)
        self._squares += (confidence**2).sum(0)

    def document(self) -> dict[str, Any]:
        """A row a frame, and the first after which 99 % of the answers are right.

        Confidence is the probability of the class that was predicted. Intervals of 95 %: Wilson's for the
        accuracy, normal for the mean confidence (none of a single sequence).
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
        knows = (row["num_frames"] for row in rows if row["accuracy"] >= _KNOWS_AT)
        return {"first_frame_at_99_percent": next(knows, None), "frames": rows}
