"""Small kinds of data sets of one's own: coloured frames, any number of them, of three classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dataset.features import ClassLabel, Feature, Tensor
from pipeline.definition import Definition


@dataclass(frozen=True)
class Scenes(Definition):
    """Coloured noise of 1 to 5 frames, and where a camera stood."""

    name = "scenes"

    num_train: int = 90
    num_validation: int = 20
    num_test: int = 30
    sequences_per_shard: int | None = 9

    @property
    def features(self) -> Mapping[str, Feature]:
        return {
            "frames": Tensor("uint8", (None, 6, 8, 3), "zlib"),
            "camera": Tensor("float32", (3,), "none"),
            "scene": ClassLabel(("day", "dusk", "night")),
        }

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        random = self.random(split, index)
        return {
            "frames": random.integers(0, 256, (1 + index % 5, 6, 8, 3), np.uint8),
            "camera": random.random(3, np.float32),
            "scene": index % 3,
        }


@dataclass(frozen=True)
class FoundScenes(Scenes):
    """The same, of which generation keeps the records' digests."""

    name = "found_scenes"
    is_pure = False
