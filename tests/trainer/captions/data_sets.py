"""Small data sets of frames with captions; each is made once a process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bouncing_balls import COLORS, BouncingBalls

from pipeline.dataset.features import Feature, Text
from tests.trainer.frames.data_sets import copied


@dataclass(frozen=True)
class DescribedBalls(BouncingBalls):
    """Videos of a ball with its colour in words; every other one has a second caption."""

    name = "described_balls"

    @property
    def features(self) -> Mapping[str, Feature]:
        return {**super().features, "caption": Text(is_list=True)}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        example = super().example(split, index)
        color = list(COLORS)[example["label"]]
        captions = [f"a {color} ball", f"the ball that flies is {color}"]
        return {**example, "caption": captions[: 1 + index % 2]}


def described_balls(directory: Path, **settings: int) -> Path:
    """Videos of 24x32 pixels in colour, 8 to 20 frames, with one or two captions each, and classes."""
    numbers = {"num_train": 240, "num_validation": 30, "num_test": 60, "sequences_per_shard": 40, **settings}
    return copied(DescribedBalls(seed=3, **numbers), directory)
