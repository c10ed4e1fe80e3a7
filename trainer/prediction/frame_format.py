"""The frames that a run was trained on: their shape and classes, and how clips become such frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.clips.definition import Clips
from pipeline.clips.frame_settings import FrameSettings

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FrameFormat:
    """Frames of the data set that a run was trained on.

    Attributes:
        dataset: name of the data set's kind.
        shape: (height, width, channels) of a frame.
        class_names: names of the classes by number.
        preparation: how frames of clips were made; None if the data set is not of clips.
    """

    dataset: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    preparation: FrameSettings | None

    @classmethod
    def of(cls, dataset: Mapping[str, Any]) -> FrameFormat:
        """The frames of a data set, as ``config.json`` describes it."""
        is_clips = dataset["kind"] == Clips.name
        height, width, channels = dataset["frame_shape"]
        return cls(
            dataset["name"],
            (height, width, channels),
            tuple(dataset["class_names"]),
            Clips.from_json(dataset["settings"]).frame_settings if is_clips else None,
        )

    @property
    def fps(self) -> Fraction | None:
        """Frames a second; None if the data set has no rate."""
        return self.preparation.fps if self.preparation is not None else None
