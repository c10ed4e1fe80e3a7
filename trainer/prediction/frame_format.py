"""The frames that a run was trained on: their shape and colours, and how clips become such frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.clips.definition import Clips
from pipeline.clips.frame_settings import FrameSettings
from pipeline.moving_line.definition import MovingLine

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FrameFormat:
    """Frames of the data set that a run was trained on.

    Attributes:
        dataset: name of the data set's kind.
        shape: (height, width, channels) of a frame.
        preparation: how frames of clips were made; None if the data set is not of clips.
        palette: colours of pixels; see `pipeline.pictures.sequences.draw_sequences`.
    """

    dataset: str
    shape: tuple[int, int, int]
    preparation: FrameSettings | None
    palette: Sequence[str] | None = None

    @classmethod
    def of(cls, dataset: Mapping[str, Any]) -> FrameFormat:
        """The frames of a data set, as ``config.json`` describes it."""
        is_clips = dataset["kind"] == Clips.name
        height, width, channels = dataset["frame_shape"]
        return cls(
            dataset["name"],
            (height, width, channels),
            Clips.from_json(dataset["settings"]).frame_settings if is_clips else None,
            MovingLine.palette if dataset["kind"] == MovingLine.name else None,
        )

    @property
    def fps(self) -> Fraction | None:
        """Frames a second; None if the data set has no rate."""
        return self.preparation.fps if self.preparation is not None else None
