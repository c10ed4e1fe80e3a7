"""Draws pictures of an evaluation of N classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from pipeline.pictures.text import plain_text
from trainer.evaluation.figures import BAD, DARK, GOOD, bars, png, reliability, square
from trainer.evaluation.n_classes.confusion_plots import confused_pairs, confusion_matrix
from trainer.evaluation.n_classes.evidence import ClassEvidence
from trainer.evaluation.n_classes.short_names import short
from trainer.evaluation.n_classes.worst_plot import worst_clips

CAPTIONS = {
    "confusion_matrix": "Labels against predictions; colours are shares of each label.",
    "confused_pairs": "The most frequent errors: label, and what was predicted instead.",
    "recall_by_class": "Of each class, the share that was recognized, the lowest first; 95 % intervals.",
    "accuracy_by_share": "What the model would say if it had seen only the first frames; 95 % intervals.",
    "reliability": "How often an answer is right, by the probability that the model gives it.",
    "baselines": "The model beside simpler answers; 95 % intervals.",
    "worst": "Those whose label was given the least probability; red: wrong.",
}

_MOST_BARS = 40


@plain_text()
def draw_pictures(document: Mapping[str, Any], evidence: ClassEvidence) -> dict[str, bytes]:
    """Draw all pictures whose numbers are there.

    Args:
        document: document of ``metrics.json``.
        evidence: the answers that it was computed from.

    Returns:
        PNG images by name, in the order of the report.
    """
    metrics, names = document["metrics"], document["classes"]
    matrix = np.array(metrics["confusion_matrix"])
    figures = {
        "confusion_matrix": confusion_matrix(matrix, names),
        "confused_pairs": confused_pairs(matrix, names),
        "recall_by_class": _recall_by_class(metrics["per_class"]),
        "accuracy_by_share": _accuracy_by_share(document),
        "reliability": _reliability(metrics),
        "baselines": _baselines(document),
        "worst": worst_clips(document["worst"], evidence.worst()),
    }
    return {name: png(figure) for name, figure in figures.items() if figure is not None}


def _reliability(metrics: Mapping[str, Any]) -> Figure:
    figure = reliability(metrics, "share of right answers", "probability of the answer")
    # The formatters of a logarithmic axis write formulas, which `plain_text` would show as they are.
    counts = figure.axes[1].yaxis
    counts.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    counts.set_minor_formatter(NullFormatter())
    return figure


def _recall_by_class(per_class: Mapping[str, Mapping[str, Any]]) -> Figure:
    rows = [(name, row) for name, row in per_class.items() if row["recall"] is not None]
    rows.sort(key=lambda pair: pair[1]["recall"])
    shown = rows[:_MOST_BARS]
    title = (
        f"Recall of {len(rows)} classes"
        if len(shown) == len(rows)
        else (f"The {len(shown)} lowest recalls of {len(rows)} classes")
    )
    if len(rows) < len(per_class):
        title += f"\n({len(per_class) - len(rows)} more classes have no sequences)"
    labels = [f"{short(name)} ({row['num_sequences']:,})" for name, row in shown]
    values = [row["recall"] for _, row in shown]
    return bars(title, "recall", labels, values, [row["recall_interval"] for _, row in shown], GOOD)


def _baselines(document: Mapping[str, Any]) -> Figure:
    majority, one_frame = (document["baselines"][name] for name in ("majority_class", "single_frame"))
    rows = [(f"always “{short(majority['class'], 18)}”", majority["accuracy"], None)]
    if one_frame is not None:
        rows.append(("the model, of one frame", one_frame["accuracy"], one_frame["accuracy_interval"]))
    metrics = document["metrics"]
    rows.append(("the model", metrics["accuracy"], metrics["accuracy_interval"]))
    labels, values, intervals = zip(*rows, strict=True)
    colors = ["gray", DARK, GOOD] if one_frame is not None else ["gray", GOOD]
    return bars("Accuracy beside simpler answers", "accuracy", labels, values, intervals, colors)


def _accuracy_by_share(document: Mapping[str, Any]) -> Figure | None:
    rows = document["accuracy_by_share"]
    if rows is None:
        return None
    figure, axes = square("Accuracy by share of the frames")
    shares = [100 * row["share"] for row in rows]
    axes.plot(shares, [row["accuracy"] for row in rows], label="accuracy", color=GOOD)
    low, high = zip(*(row["accuracy_interval"] for row in rows), strict=True)
    axes.fill_between(shares, low, high, alpha=0.25, color=GOOD, linewidth=0)
    axes.plot(shares, [row["mean_confidence"] for row in rows], label="mean confidence", color=BAD)
    most = document["baselines"]["majority_class"]["accuracy"]
    axes.axhline(most, color="gray", linestyle=":", label="always the most frequent class")
    axes.set(xlabel="frames seen, %", ylim=(0, 1.02), xticks=shares[1::2])
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure
