"""Draws pictures of an evaluation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from trainer.evaluation.evidence import Evidence, WorstSequences
from trainer.evaluation.ranking import Ranking
from trainer.input.dataset_spec import DatasetSpec
from trainer.tasks.trainable_kind import trainable_kind

_DARK, _GOOD, _BAD = "#12203a", "#2a6f97", "#c1121f"
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
        "reliability": _reliability(metrics),
    }
    if metrics["roc_auc"] is not None:
        figures["roc"] = _roc(metrics, Ranking.of(evidence.right, evidence.labels == 1))
    if document["robustness"]:
        figures["robustness"] = _robustness(document["robustness"])
    figures["worst"] = _worst(evidence.worst, evidence.spec)
    return {name: _png(figure) for name, figure in figures.items()}


def _confusion_matrix(matrix: list[list[int]], class_names: Sequence[str]) -> Figure:
    figure, axes = _square("Confusion matrix")
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
    figure, axes = _square("Accuracy by frame")
    rows = by_frame["frames"]
    frames = [row["num_frames"] for row in rows]
    for name, label, color in (
        ("accuracy", "accuracy", _GOOD),
        ("mean_confidence", "mean confidence", _BAD),
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


def _reliability(metrics: Mapping[str, Any]) -> Figure:
    figure = Figure(figsize=(5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = [row for row in metrics["reliability"] if row["num_sequences"]]
    upper.plot((0, 1), (0, 1), color="gray", linestyle=":", label="perfectly calibrated")
    scores, shares = [row["mean_score"] for row in rows], [row["share_of_right"] for row in rows]
    upper.plot(scores, shares, "o-", color=_GOOD, label="the model, in 15 bins")
    upper.set(ylabel="share that is right", ylim=(-0.03, 1.03))
    upper.set_title(f"Reliability: expected calibration error {metrics['expected_calibration_error']:.4f}")
    upper.legend(loc="upper left")
    upper.grid(alpha=0.3)
    centers = [(row["from"] + row["to"]) / 2 for row in rows]
    lower.bar(centers, [row["num_sequences"] for row in rows], width=1 / 16, color=_DARK)
    most = max(row["num_sequences"] for row in rows)
    lower.set(xlabel='probability of "right"', ylabel="sequences", yscale="log", ylim=(0.7, 3 * most))
    lower.set_xlim(-0.03, 1.03)
    return figure


def _roc(metrics: Mapping[str, Any], ranking: Ranking) -> Figure:
    interval = metrics["roc_auc_interval"]
    ends = f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
    figure, axes = _square(f"ROC: area {metrics['roc_auc']:.4f}{ends}")
    axes.plot((0, 1), (0, 1), color="gray", linestyle=":", label="chance")
    axes.plot(*ranking.curve(), color=_GOOD, label="the model", linewidth=2)
    axes.set(xlabel="share of left called right", ylabel="share of right called right")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return figure


def _robustness(rows: list[dict[str, Any]]) -> Figure:
    figure, axes = _square("Accuracy under flipped pixels")
    rows = sorted(rows, key=lambda row: row["flipped"])
    shares = [100 * row["flipped"] for row in rows]
    accuracies = [row["accuracy"] for row in rows]
    ends = np.array([row["accuracy_interval"] for row in rows])
    errors = np.abs(ends.T - np.array(accuracies))
    axes.errorbar(shares, accuracies, errors, fmt="o-", color=_GOOD, capsize=4)
    axes.axhline(0.5, color="gray", linestyle=":", label="chance")
    axes.set(xlabel="pixels flipped, %", ylabel="accuracy", ylim=(min(0.45, *ends[:, 0]), 1.02))
    axes.legend(loc="lower left")
    axes.grid(alpha=0.3)
    return figure


def _worst(worst: WorstSequences, spec: DatasetSpec) -> Figure:
    """A strip of frames per sequence, one above the other, to fit a phone's screen."""
    count = len(worst.labels)
    kind = trainable_kind(spec)
    frames = kind.frames(worst.traces, worst.labels)[..., 0]
    shown = np.unique(np.linspace(0, frames.shape[1] - 1, _STRIP_FRAMES).round().astype(int))
    figure = Figure(figsize=(0.95 * len(shown), 1.3 * count), layout="constrained")
    strips = figure.subfigures(count, 1, squeeze=False)[:, 0]
    for strip, number, label, right, sequence in zip(
        strips, worst.numbers, worst.labels, worst.right, frames, strict=True
    ):
        is_wrong = (right > 0.5) != label
        title = f"{number}: {spec.class_names[label]}, P(right) = {right:.4f}"
        strip.suptitle(title, fontsize=9, color=_BAD if is_wrong else "black")
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


def _square(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    return figure, axes


def _png(figure: Figure) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, dpi=130)
    return picture.getvalue()
