"""Intervals for sequences that depend on each other, such as segments of a clip or clips of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.intervals import LEVEL

_NUM_RESAMPLES = 1000


def independent_units(groups: Sequence[str], clips: Sequence[str]) -> npt.NDArray[np.int64]:
    """The number of each sequence's unit, int64 (n,): of its group; without one, of its clip; else of itself.

    Args:
        groups: names of groups (n,), "" where there is none.
        clips: names of clips (n,), "" where there is none.
    """
    known: dict[object, int] = {}
    keys = (
        ("group", group) if group else ("clip", clip) if clip else number
        for number, (group, clip) in enumerate(zip(groups, clips, strict=True))
    )
    return np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int64, len(groups))


def group_intervals(
    units: npt.NDArray[np.int64],
    labels: npt.NDArray[np.integer[Any]],
    predicted: npt.NDArray[np.integer[Any]],
    num_classes: int,
) -> dict[str, list[float] | None]:
    """95 % percentile intervals by a bootstrap over units: whole units are drawn, with replacement.

    Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8. The draws are those of
    one seed, so the intervals are the same each time. With fewer than about 20 units they are too narrow.

    Args:
        units: number of each sequence's unit, from 0 to one less than the number of units (n,).
        labels: classes (n,).
        predicted: classes (n,).
        num_classes: N.

    Returns:
        ``accuracy_group_interval`` and ``macro_f1_group_interval``; None if all sequences are of one unit, or
        each is a unit of its own, for which Wilson's interval is right.
    """
    num_units = int(units.max()) + 1
    if num_units in (1, len(units)):
        return {"accuracy_group_interval": None, "macro_f1_group_interval": None}
    random = np.random.Generator(np.random.Philox(0))
    correct = labels == predicted
    accuracies, scores = np.empty(_NUM_RESAMPLES), np.empty(_NUM_RESAMPLES)
    for index in range(_NUM_RESAMPLES):
        drawn = np.bincount(random.integers(0, num_units, num_units), minlength=num_units)
        weights = drawn[units].astype(np.float64)
        right = np.bincount(labels, weights * correct, num_classes)
        both = np.bincount(labels, weights, num_classes) + np.bincount(predicted, weights, num_classes)
        accuracies[index] = right.sum() / weights.sum()
        scores[index] = (2 * right[both > 0] / both[both > 0]).mean()
    return {
        "accuracy_group_interval": _percentiles(accuracies),
        "macro_f1_group_interval": _percentiles(scores),
    }


def _percentiles(values: npt.NDArray[np.float64]) -> list[float]:
    ends: list[float] = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return ends
