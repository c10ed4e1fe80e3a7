"""Draws pictures of captions: words by position, and strips of the best and the worst records."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from pipeline.pictures.text import plain_text
from trainer.evaluation.captions.evidence import NUM_SHOWN, CaptionEvidence
from trainer.evaluation.figures import GOOD, bars, png

CAPTIONS = {
    "by_position": "Of the words of first references, the share that captions have at the same place; 95 %"
    " intervals.",
}

# Pictures of one record each; the page shows them beside their captions.
STRIPS = [f"{part}_{rank}" for part in ("best", "worst") for rank in range(1, NUM_SHOWN + 1)]

_GAP = 2
_LEAST_HEIGHT = 64


@plain_text()
def draw_pictures(document: Mapping[str, Any], evidence: CaptionEvidence) -> dict[str, bytes]:
    """Draw all pictures.

    Args:
        document: document of ``metrics.json``.
        evidence: the captions that it was computed from.

    Returns:
        PNG images by name: those of `CAPTIONS`, then of `STRIPS` as many as there are records.
    """
    pictures = {}
    if any(row["num_sequences"] for row in document["by_position"]):
        pictures["by_position"] = png(_by_position(document))
    for part, places in (("best", evidence.best()), ("worst", evidence.worst())):
        for rank, place in enumerate(places, 1):
            pictures[f"{part}_{rank}"] = strip_png(evidence.strips[place])
    return pictures


def _by_position(document: Mapping[str, Any]) -> Figure:
    rows = [row for row in document["by_position"] if row["num_sequences"]]
    labels = [f"word {row['position']} ({row['num_sequences']:,})" for row in rows]
    values, intervals = ([row[name] for row in rows] for name in ("accuracy", "accuracy_interval"))
    return bars("Words by position", "accuracy", labels, values, intervals, GOOD)


def strip_png(frames: npt.NDArray[np.uint8]) -> bytes:
    """Frames side by side as a PNG image, small ones enlarged by a whole number.

    Args:
        frames: uint8 (f, H, W, C); three channels are colours, of others the first is shown in gray.
    """
    scale = -(-_LEAST_HEIGHT // frames.shape[1])
    colours = frames if frames.shape[-1] == 3 else np.repeat(frames[..., :1], 3, -1)
    large = colours.repeat(scale, 1).repeat(scale, 2)
    spaced = np.pad(large, ((0, 0), (0, 0), (0, _GAP), (0, 0)), constant_values=255)
    picture = io.BytesIO()
    Image.fromarray(np.concatenate(list(spaced), 1)[:, :-_GAP]).save(picture, "PNG")
    return picture.getvalue()
