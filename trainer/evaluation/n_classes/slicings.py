"""Slicings of sequences of any kind of data set.

A slicing takes columns: "num_frames", int64 (n,), the number of frames of the record as stored; "clip" and
"group", arrays of str (n,), the names of its clip and group, "" where there is none. It takes labels too,
int64 (n,). See `trainer.evaluation.slices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.slices import Groups, Slicing

Columns = Mapping[str, npt.NDArray[Any]]


def clip_slicings(class_names: Sequence[str], num_frames: int) -> dict[str, Slicing]:
    """The slicings that every data set with classes has.

    Args:
        class_names: names of the classes; any texts.
        num_frames: number of frames that the model sees at once, its window.

    Returns:
        ``class``: by label. ``duration``: "short", fewer frames than the window; "middle", from one window to
        two; "long", more than two.
    """

    def duration(columns: Columns, labels: npt.NDArray[np.int64]) -> Groups:
        lengths = columns["num_frames"]
        return (lengths >= num_frames).astype(int) + (lengths > 2 * num_frames)

    return {
        "class": Slicing(tuple(class_names), lambda columns, labels: labels),
        "duration": Slicing(("short", "middle", "long"), duration),
    }
