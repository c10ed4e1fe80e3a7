"""Draws ``training.png``: loss and accuracy of training and validation by step."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from trainer.run.tensorflow_files import save_bytes


def draw_curves(history: list[dict[str, str]], path: str) -> None:
    """Draw the curves of a run.

    Args:
        history: rows as `trainer.training.history.read_history` returns them.
        path: the PNG to write.
    """
    steps = [int(row["step"]) for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, label, style in ((metric, "training", "o-"), (f"val_{metric}", "validation", "s--")):
            axes.plot(steps, [float(row[name]) for row in history], style, label=label)
        axes.set(xlabel="step", title=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_yscale("log")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120)
    save_bytes(path, picture.getvalue())
