"""The slicings of moving lines: by label and path."""

from __future__ import annotations

import numpy as np

from pipeline.moving_line.lines import CLASS_NAMES, Int64Array, Uint8Array
from trainer.evaluation.slices import Groups, Slicing


def _direction(paths: Uint8Array, labels: Int64Array) -> Groups:
    return labels


def _start_row(paths: Uint8Array, labels: Int64Array) -> Groups:
    """The third of the rows in which the line starts."""
    return np.floor_divide(paths[:, 0].astype(np.int64) * 3, paths.shape[1])


def _turns(paths: Uint8Array, labels: Int64Array) -> Groups:
    """How often the line changes between up and down, straight runs in between not counted.

    For large S the mean is (S - 1) / 3; "few" is below 0.8 times the mean, "many" at least 1.2 times.
    """
    steps = np.sign(np.diff(paths.astype(np.int8 if paths.shape[1] <= 128 else np.int16), axis=1))
    # A straight run keeps the direction before it.
    last_moved = np.maximum.accumulate(np.where(steps != 0, np.arange(1, paths.shape[1]), 0), axis=1)
    padded = np.concatenate([np.zeros_like(steps[:, :1]), steps], axis=1)
    direction = np.take_along_axis(padded, last_moved, axis=1)
    turns = (direction[:, 1:] * direction[:, :-1] < 0).sum(1)
    usual = (paths.shape[1] - 1) / 3
    groups: Groups = np.digitize(turns, [0.8 * usual, 1.2 * usual])
    return groups


def _border(paths: Uint8Array, labels: Int64Array) -> Groups:
    """Whether the line touches the top row or the bottom row."""
    touched = (paths == 0) | (paths == paths.shape[1] - 1)
    groups: Groups = (~touched.any(1)).astype(np.int64)
    return groups


LINE_SLICINGS = {
    "direction": Slicing(CLASS_NAMES, _direction),
    "start_row": Slicing(("top", "middle", "bottom"), _start_row),
    "turns": Slicing(("few", "some", "many"), _turns),
    "border": Slicing(("touched", "free"), _border),
}
