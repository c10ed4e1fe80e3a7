"""What pictures of evaluations have in common: colours, one size, bars, reliability, PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DARK, GOOD, BAD = "#12203a", "#2a6f97", "#c1121f"


def square(title: str) -> tuple[Figure, Axes]:
    """A figure of the usual size with one plot."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    return figure, axes


def reliability(metrics: Mapping[str, Any], share: str, score: str) -> Figure:
    """Shares of positives against scores, and the number of sequences of each score.

    Args:
        metrics: with ``reliability`` and ``expected_calibration_error``.
        share: what the share of positives is of.
        score: what the score is.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = [row for row in metrics["reliability"] if row["num_sequences"]]
    upper.plot((0, 1), (0, 1), color="gray", linestyle=":", label="perfectly calibrated")
    scores, shares = [row["mean_score"] for row in rows], [row["share_of_right"] for row in rows]
    upper.plot(scores, shares, "o-", color=GOOD, label="the model, in 15 bins")
    upper.set(ylabel=share, ylim=(-0.03, 1.03))
    upper.set_title(f"Reliability: expected calibration error {metrics['expected_calibration_error']:.4f}")
    upper.legend(loc="upper left")
    upper.grid(alpha=0.3)
    centers = [(row["from"] + row["to"]) / 2 for row in rows]
    lower.bar(centers, [row["num_sequences"] for row in rows], width=1 / 16, color=DARK)
    most = max(row["num_sequences"] for row in rows)
    lower.set(xlabel=score, ylabel="sequences", yscale="log", ylim=(0.7, 3 * most))
    lower.set_xlim(-0.03, 1.03)
    return figure


def bars(
    title: str,
    quantity: str,
    labels: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[Sequence[float] | None],
    color: str | Sequence[str],
) -> Figure:
    """Horizontal bars of shares, the first above, with intervals.

    Args:
        title: above the bars.
        quantity: what the shares are, below them.
        labels: of the bars (n,).
        values: shares from 0 to 1 (n,).
        intervals: of the shares (n,); None for a bar without one.
        color: of all bars, or one for each.
    """
    figure = Figure(figsize=(5, 1.3 + 0.24 * len(labels)), layout="constrained")
    axes = figure.subplots()
    places = range(len(labels))
    ends = [interval or (value, value) for value, interval in zip(values, intervals, strict=True)]
    errors = np.abs(np.array(ends).T - np.array(values))
    axes.barh(places, values, color=color, height=0.7)
    axes.errorbar(values, places, xerr=errors, fmt="none", ecolor=BAD, elinewidth=1, capsize=2)
    for place, value, (_, high) in zip(places, values, ends, strict=True):
        axes.text(high + 0.015, place, f"{value:.1%}", va="center", fontsize=7)
    axes.set(xlabel=quantity, xlim=(0, 1.13), ylim=(len(labels) - 0.4, -0.6), xticks=np.arange(0, 1.1, 0.2))
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3, axis="x")
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG image."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=130)
    return picture.getvalue()
