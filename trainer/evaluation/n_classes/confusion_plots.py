"""Draws which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from trainer.evaluation.figures import BAD
from trainer.evaluation.n_classes.short_names import short

_MOST_WITH_NUMBERS = 12
_MOST_NAMES = 40
_MOST_PAIRS = 20


def confusion_matrix(counts: npt.NDArray[np.int64], names: Sequence[str]) -> Figure:
    """The matrix: with numbers if there are few classes, with some of the names if there are many.

    Args:
        counts: of sequences, [label][prediction].
        names: of the classes.
    """
    num_classes = len(names)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    has_numbers = num_classes <= _MOST_WITH_NUMBERS
    size = max(4.5, 0.75 * num_classes) if has_numbers else 8.0
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    # A square root lets small shares be seen.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(1 if has_numbers else 0.5, 0, 1))
    if has_numbers:
        _numbers(axes, counts, shares)
    else:
        figure.colorbar(image, ax=axes, shrink=0.7, label="share of the label")
    step = -(-num_classes // _MOST_NAMES)
    places = range(0, num_classes, step)
    shown = [short(names[place]) for place in places]
    letters = 9 if has_numbers else 7
    axes.set_xticks(places, shown, fontsize=letters, rotation=90 if num_classes > 3 else 0)
    axes.set_yticks(places, shown, fontsize=letters)
    axes.set(xlabel="predicted", ylabel="label")
    thinned = f", the names of one in {step}" if step > 1 else ""
    axes.set_title(f"Confusion matrix of {num_classes} classes{thinned}", fontsize=11)
    return figure


def _numbers(axes: Axes, counts: npt.NDArray[np.int64], shares: npt.NDArray[Any]) -> None:
    for row, column in np.ndindex(counts.shape):
        text = f"{counts[row, column]:,}\n{shares[row, column]:.0%}"
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=color)


def confused_pairs(counts: npt.NDArray[np.int64], names: Sequence[str]) -> Figure | None:
    """The most frequent errors as bars; None if the matrix shows their numbers, or there are none."""
    errors = counts - np.diag(np.diag(counts))
    if len(names) <= _MOST_WITH_NUMBERS or not errors.any():
        return None
    order = np.argsort(-errors, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [divmod(int(index), len(names)) for index in order if errors.flat[index]]
    figure = Figure(figsize=(5, 1 + 0.24 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    places, values = range(len(pairs)), [int(errors[pair]) for pair in pairs]
    axes.barh(places, values, color=BAD, height=0.7)
    for place, pair in zip(places, pairs, strict=True):
        text = f" {errors[pair]:,} of {counts[pair[0]].sum():,}"
        axes.text(errors[pair], place, text, va="center", fontsize=7)
    labels = [f"{short(names[label], 18)} → {short(names[other], 18)}" for label, other in pairs]
    axes.set_yticks(places, labels, fontsize=7)
    axes.set(xlabel="sequences", xlim=(0, 1.25 * max(values)), ylim=(len(pairs) - 0.4, -0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Most frequent errors", fontsize=10)
    return figure
