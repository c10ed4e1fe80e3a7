"""Calibration of probabilities: reliability by bin, and the expected calibration error."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NUM_BINS = 15


class Reliability:
    """Counts over 15 equal bins of the probability of "right": bin k is [k/15, (k + 1)/15), the last to 1."""

    def __init__(self) -> None:
        self._counts = np.zeros(NUM_BINS, np.int64)
        self._positives = np.zeros(NUM_BINS, np.int64)
        self._scores = np.zeros(NUM_BINS)

    def add(self, scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> None:
        """Add sequences: scores (n,), and whether each is of class 1 (n,)."""
        bins = np.minimum((scores * NUM_BINS).astype(int), NUM_BINS - 1)
        self._counts += np.bincount(bins, minlength=NUM_BINS)
        self._positives += np.bincount(bins[positive], minlength=NUM_BINS)
        self._scores += np.bincount(bins, weights=scores, minlength=NUM_BINS)

    def expected_calibration_error(self) -> float:
        """Mean |share of class 1 - mean score| over the bins, weighted by their counts.

        Naeini, Cooper and Hauskrecht, AAAI 2015.
        """
        return float(np.abs(self._positives - self._scores).sum() / self._counts.sum())

    def table(self) -> list[dict[str, Any]]:
        """A row per bin: its ends, number of sequences, mean score and share of class 1 (None if empty)."""
        return [
            {
                "from": index / NUM_BINS,
                "to": (index + 1) / NUM_BINS,
                "num_sequences": int(count),
                "mean_score": float(score / count) if count else None,
                "share_of_right": float(positives / count) if count else None,
            }
            for index, (count, positives, score) in enumerate(
                zip(self._counts, self._positives, self._scores, strict=True)
            )
        ]
