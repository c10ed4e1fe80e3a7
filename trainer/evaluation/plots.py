"""Draws pictures of an evaluation of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from trainer.evaluation.evidence import Evidence, WorstSequences
from trainer.evaluation.figures import BAD, GOOD, png, reliability, square
from trainer.evaluation.ranking import Ranking
from trainer.input.dataset_spec import DatasetSpec
from trainer.tasks.trainable_kind import traced_kind

CAPTIONS = {
    "confusion_matrix": "Labels against predictions, with shares of each label.",
    "accuracy_by_frame": "What the model would say if sequences ended after so many frames; 95 % intervals.",
    "reliability": "Of the sequences that are given a probability of “right”, the share that is.",
    "roc": "At every threshold, the share of each class that is called “right”.",
    "robustness": "The same sequences, with pixels flipped from 0 to 1 and from 1 to 0; 95 % intervals.",
    "worst": "Those whose label was given the least probability, by number, drawn as lines; red: wrong.",
}

_STRIP_FRAMES = 6


def draw_pictures(document: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Draw all pictures whose numbers are defined.

    Args:
        document: document of ``metrics.json``.
        evidence: the answers that it was computed from.

    Returns:
        PNG images by name, in the order of the report.
    """
    metrics = document["metrics"]
    figures = {
        "confusion_matrix": _confusion_matrix(metrics["confusion_matrix"], evidence.spec.class_names),
        "accuracy_by_frame": _accuracy_by_frame(document["accuracy_by_frame"]),
        "reliability": reliability(metrics, "share that is right", 'probability of "right"'),
    }
    if metrics["roc_auc"] is not None:
        figures["roc"] = _roc(metrics, Ranking.of(evidence.right, evidence.labels == 1))
    if document["robustness"]:
        figures["robustness"] = _robustness(document["robustness"])
    figures["worst"] = _worst(evidence.worst, evidence.spec)
    return {name: png(figure) for name, figure in figures.items()}


def _confusion_matrix(matrix: list[list[int]], class_names: Sequence[str]) -> Figure:
    figure, axes = square("Confusion matrix")
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            text = f"{counts[row, column]:,}\n{shares[row, column]:.2%}"
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=13, color=color)
    axes.set(xlabel="predicted", ylabel="label", xticks=(0, 1), yticks=(0, 1))
    axes.set_xticklabels(class_names)
    axes.set_yticklabels(class_names, rotation=90, va="center")
    return figure


def _accuracy_by_frame(by_frame: Mapping[str, Any]) -> Figure:
    figure, axes = square("Accuracy by frame")
    rows = by_frame["frames"]
    frames = [row["num_frames"] for row in rows]
    for name, label, color in (
        ("accuracy", "accuracy", GOOD),
        ("mean_confidence", "mean confidence", BAD),
    ):
        axes.plot(frames, [row[name] for row in rows], label=label, color=color)
        ends = [row[f"{name}_interval"] or (row[name], row[name]) for row in rows]
        low, high = zip(*ends, strict=True)
        axes.fill_between(frames, low, high, alpha=0.25, color=color, linewidth=0)
    first = by_frame["first_frame_at_99_percent"]
    if first is not None:
        axes.axvline(first, color="gray", linestyle=":", label=f"99 % after {first} frames")
    axes.set(xlabel="frames seen", ylim=(min(0.45, axes.get_ylim()[0]), 1.01))
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


def _roc(metrics: Mapping[str, Any], ranking: Ranking) -> Figure:
    interval = metrics["roc_auc_interval"]
    ends = f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
    figure, axes = square(f"ROC: area {metrics['roc_auc']:.4f}{ends}")
    axes.plot((0, 1), (0, 1), color="gray", linestyle=":", label="chance")
    axes.plot(*ranking.curve(), color=GOOD, label="the model", linewidth=2)
    axes.set(xlabel="share of left called right", ylabel="share of right called right")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


def _robustness(rows: list[dict[str, Any]]) -> Figure:
    figure, axes = square("Accuracy under flipped pixels")
    rows = sorted(rows, key=lambda row: row["flipped"])
    shares = [100 * row["flipped"] for row in rows]
    accuracies = [row["accuracy"] for row in rows]
    ends = np.array([row["accuracy_interval"] for row in rows])
    errors = np.abs(ends.T - np.array(accuracies))
    axes.errorbar(shares, accuracies, errors, fmt="o-", color=GOOD, capsize=4)
    axes.axhline(0.5, color="gray", linestyle=":", label="chance")
    axes.set(xlabel="pixels flipped, %", ylabel="accuracy", ylim=(min(0.45, *ends[:, 0]), 1.02))
    axes.legend(loc="lower left")
    axes.grid(alpha=0.3)
    return figure


def _worst(worst: WorstSequences, spec: DatasetSpec) -> Figure:
    """A strip of frames per sequence, one above the other, to fit a phone's screen."""
    count = len(worst.labels)
    kind = traced_kind(spec)
    frames = kind.frames(worst.traces, worst.labels)[..., 0]
    shown = np.unique(np.linspace(0, frames.shape[1] - 1, _STRIP_FRAMES).round().astype(int))
    figure = Figure(figsize=(0.95 * len(shown), 1.3 * count), layout="constrained")
    strips = figure.subfigures(count, 1, squeeze=False)[:, 0]
    for strip, number, label, right, sequence in zip(
        strips, worst.numbers, worst.labels, worst.right, frames, strict=True
    ):
        is_wrong = (right > 0.5) != label
        title = f"{number}: {spec.class_names[label]}, P(right) = {right:.4f}"
        strip.suptitle(title, fontsize=9, color=BAD if is_wrong else "black")
        for axes, frame in zip(strip.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            axes.imshow(
                sequence[frame],
                cmap=ListedColormap(kind.palette),
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            axes.set_xticks([])
            axes.set_yticks([])
    return figure
