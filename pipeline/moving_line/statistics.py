"""Statistics of moving lines: counts by which to test whether a data set follows the definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.moving_line.lines import CLASS_NAMES, Int64Array, Uint8Array

# Places where a step starts. They differ in the possible steps.
STEP_PLACES = ("interior", "lower_border", "upper_border")
STEPS = (-1, 0, 1)
_STEP_NAMES = ("-1", "0", "+1")


@dataclass(frozen=True)
class LineStatistics:
    """Counts over sequences; see `Statistics`.

    Attributes:
        labels: int64 (2,): number of sequences by label.
        start_rows: int64 (S,): number of sequences by start row.
        steps: int64 (3, 3): number of steps by place (`STEP_PLACES`: interior, row 0, row S-1) and by change
            of row (`STEPS`: -1, 0, 1).
    """

    labels: Int64Array
    start_rows: Int64Array
    steps: Int64Array

    @classmethod
    def of(cls, paths: Uint8Array, labels: Int64Array) -> LineStatistics:
        """Counts of sequences: paths, uint8 (n, S), with steps of at most 1, and labels, int64 (n,)."""
        image_size = paths.shape[1]
        # All paths as one array, because NumPy is faster on long arrays.
        rows = np.ascontiguousarray(paths).reshape(-1)
        before = rows[:-1]
        # uint8 arithmetic: a step of -1 is 255, so that adding 1 maps the steps to 0, 1, 2.
        step = rows[1:] - before + np.uint8(1)
        step[image_size - 1 :: image_size] = len(STEPS)  # From one sequence to the next: not counted.
        is_first, is_last = before == 0, before == image_size - 1
        steps = [step == change for change in range(len(STEPS))]
        total = np.array([np.count_nonzero(taken) for taken in steps], np.int64)
        first, last = (
            np.array([np.count_nonzero(place & taken) for taken in steps], np.int64)
            for place in (is_first, is_last)
        )
        return cls(
            np.bincount(labels, minlength=len(CLASS_NAMES)).astype(np.int64),
            np.bincount(paths[:, 0], minlength=image_size).astype(np.int64),
            np.array([total - first - last, first, last]),
        )

    def __add__(self, other: LineStatistics) -> LineStatistics:
        return LineStatistics(
            self.labels + other.labels,
            self.start_rows + other.start_rows,
            self.steps + other.steps,
        )

    def __str__(self) -> str:
        counts = zip(CLASS_NAMES, self.labels.tolist(), strict=True)
        return ", ".join(f"{count:,} {name}" for name, count in counts)

    def to_json(self) -> dict[str, Any]:
        """The counts as the manifest stores them."""
        return {
            "labels": dict(zip(CLASS_NAMES, self.labels.tolist(), strict=True)),
            "start_rows": self.start_rows.tolist(),
            "steps": {
                place: dict(zip(_STEP_NAMES, row, strict=True))
                for place, row in zip(STEP_PLACES, self.steps.tolist(), strict=True)
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LineStatistics:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError, OverflowError: if ``data`` is not a value that `to_json` returns.
        """
        counts = (
            [data["labels"][name] for name in CLASS_NAMES],
            list(data["start_rows"]),
            [data["steps"][place][name] for place in STEP_PLACES for name in _STEP_NAMES],
        )
        if any(type(count) is not int for part in counts for count in part):  # NumPy would truncate 1.5.
            raise TypeError("a count is not a whole number")
        labels, start_rows, steps = (np.array(part, np.int64) for part in counts)
        return cls(labels, start_rows, steps.reshape(len(STEP_PLACES), len(STEPS)))
