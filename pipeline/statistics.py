"""Counts over sequences that tell whether a data set follows the definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.lines import CLASS_NAMES, Int64Array, Uint8Array

# Where a step starts: the row before it decides which rows it may lead to.
STEP_PLACES = ("interior", "lower_border", "upper_border")
STEPS = (-1, 0, 1)


@dataclass(frozen=True)
class Statistics:
    """Counts over the sequences of a shard or a split; they add up.

    Attributes:
        labels: int64 (2,): sequences of each class, in label order.
        start_rows: int64 (S,): sequences that start in each row.
        steps: int64 (3, 3): steps by place (interior, row 0, row S-1) and by change of row (-1, 0, 1).
    """

    labels: Int64Array
    start_rows: Int64Array
    steps: Int64Array

    @classmethod
    def zero(cls, image_size: int) -> Statistics:
        """No sequences yet."""
        return cls(
            np.zeros(len(CLASS_NAMES), np.int64),
            np.zeros(image_size, np.int64),
            np.zeros((len(STEP_PLACES), len(STEPS)), np.int64),
        )

    @classmethod
    def of(cls, paths: Uint8Array, labels: Int64Array) -> Statistics:
        """Count sequences: paths uint8 (n, S) whose steps are at most 1, labels int64 (n,)."""
        image_size = paths.shape[1]
        before = paths[:, :-1]
        # uint8 arithmetic: a step of -1 wraps to 255, adding 1 brings steps to 0, 1, 2.
        step = paths[:, 1:] - before + np.uint8(1)
        place = (before == 0) + np.uint8(2) * (before == image_size - 1)
        cells = len(STEP_PLACES) * len(STEPS)
        counts = np.bincount((place * np.uint8(len(STEPS)) + step).ravel(), minlength=cells)
        return cls(
            np.bincount(labels, minlength=len(CLASS_NAMES)).astype(np.int64),
            np.bincount(paths[:, 0], minlength=image_size).astype(np.int64),
            counts.reshape(len(STEP_PLACES), len(STEPS)).astype(np.int64),
        )

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.labels + other.labels,
            self.start_rows + other.start_rows,
            self.steps + other.steps,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers under readable names."""
        return {
            "labels": dict(zip(CLASS_NAMES, self.labels.tolist(), strict=True)),
            "start_rows": self.start_rows.tolist(),
            "steps": {
                place: {f"{step:+d}" if step else "0": count for step, count in zip(STEPS, row, strict=True)}
                for place, row in zip(STEP_PLACES, self.steps.tolist(), strict=True)
            },
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Statistics:
        """The inverse of `to_json`."""
        return cls(
            np.array([data["labels"][name] for name in CLASS_NAMES], np.int64),
            np.array(data["start_rows"], np.int64),
            np.array([list(data["steps"][place].values()) for place in STEP_PLACES], np.int64),
        )
