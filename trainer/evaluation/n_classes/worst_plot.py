"""Draws the records whose label was given the least probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from trainer.evaluation.figures import BAD
from trainer.evaluation.n_classes.evidence import WorstRecords
from trainer.evaluation.n_classes.short_names import short


def worst_clips(rows: Sequence[Mapping[str, Any]], worst: WorstRecords) -> Figure | None:
    """A strip of frames per record, one above the other, to fit a phone's screen.

    Args:
        rows: the part ``worst`` of ``metrics.json``.
        worst: the same records.

    Returns:
        The figure; None if no frames of these records were kept.
    """
    drawn = [
        (row, worst.strips[place])
        for row, place in zip(rows, worst.places.tolist(), strict=True)
        if place in worst.strips
    ]
    if not drawn:
        return None
    columns = max(len(strip) for _, strip in drawn)
    height = max(strip.shape[1] / strip.shape[2] for _, strip in drawn)
    figure = Figure(figsize=(5.7, len(drawn) * (0.5 + height * 5.7 / columns)), layout="constrained")
    for part, (row, strip) in zip(figure.subfigures(len(drawn), 1, squeeze=False)[:, 0], drawn, strict=True):
        is_wrong = row["label"] != row["predicted"]
        part.suptitle(_title(row), fontsize=9, color=BAD if is_wrong else "black")
        for number, axes in enumerate(part.subplots(1, columns, squeeze=False)[0]):
            axes.axis("off")
            if number < len(strip):
                _draw(axes, strip[number])
    return figure


def _draw(axes: Any, frame: npt.NDArray[np.uint8]) -> None:
    """A frame of three channels in colour, the first channel of others in gray."""
    if frame.shape[-1] == 3:
        axes.imshow(frame)
    else:
        axes.imshow(frame[..., 0], cmap="gray", vmin=0, vmax=255)


def _title(row: Mapping[str, Any]) -> str:
    clip = f": {short(row['clip'], 52)}" if row["clip"] else ""
    label, predicted = short(row["label"]), short(row["predicted"])
    return (
        f"{row['number']}{clip}\n{label}, predicted {predicted}, P(label) = {row['probability_of_label']:.4f}"
    )
