"""A complete kind of data set: videos of a bouncing ball in one of three colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.command_line.arguments import non_negative_int, positive_int
from pipeline.dataset.features import ClassLabel, Feature, Tensor
from pipeline.definition import Definition, setting

COLORS = {"red": (230, 60, 50), "green": (60, 180, 75), "blue": (60, 110, 230)}
BACKGROUND = (16, 16, 16)
RADIUS = 3
FEWEST_FRAMES = 8


@dataclass(frozen=True)
class BouncingBalls(Definition):
    """Videos of a ball that bounces off the edges of the frame; its colour is the class."""

    name = "bouncing_balls"

    seed: int = setting(0, "decides every video")
    height: int = setting(24, "height of a frame, in pixels", type=positive_int)
    width: int = setting(32, "width of a frame, in pixels", type=positive_int)
    more_frames: int = setting(12, "largest number of frames beyond the first 8", type=non_negative_int)
    num_train: int = setting(2_000, "training videos", type=positive_int)
    num_validation: int = setting(200, "validation videos", type=positive_int)
    num_test: int = setting(400, "test videos", type=positive_int)
    sequences_per_shard: int | None = setting(None, "the most videos in a shard", type=positive_int)

    @property
    def features(self) -> Mapping[str, Feature]:
        """Frames, uint8 (T, height, width, 3), with T different from video to video, and the class."""
        frames = Tensor("uint8", (None, self.height, self.width, 3), "zlib")
        return {"frames": frames, "label": ClassLabel(tuple(COLORS))}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        """Make one video: a pure function of the settings, the split and the number."""
        random = self.random(split, index)
        label = int(random.integers(len(COLORS)))
        time = np.arange(FEWEST_FRAMES + random.integers(self.more_frames + 1))[:, None]
        edges = np.array([self.height, self.width])
        path = random.uniform(0, edges) + time * random.uniform(-3, 3, 2)
        places = edges - np.abs(path % (2 * edges) - edges)  # Reflected at 0 and at the edges.
        rows, columns = np.arange(self.height)[:, None], np.arange(self.width)
        y, x = (place[:, None, None] for place in places.T)
        inside = (rows - y) ** 2 + (columns - x) ** 2 <= RADIUS**2
        color = list(COLORS.values())[label]
        return {"frames": np.where(inside[..., None], color, BACKGROUND).astype(np.uint8), "label": label}
