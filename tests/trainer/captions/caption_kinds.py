"""Data sets with captions of other kinds: one a clip, without classes, with gaps, of files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.clips.definition import Clips
from pipeline.dataset.features import Feature, Text
from pipeline.generate import generate
from tests.pipeline.clips.clip_folders import clip, still, write
from tests.trainer.captions.data_sets import DescribedBalls

WORDS = ("cat", "dog", "emu")


@dataclass(frozen=True)
class OneCaption(DescribedBalls):
    """Every video has one caption, a text that is no list."""

    name = "one_caption"

    @property
    def features(self) -> Mapping[str, Feature]:
        return {**super().features, "caption": Text()}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        example = super().example(split, index)
        return {**example, "caption": example["caption"][0]}


@dataclass(frozen=True)
class WithoutClasses(DescribedBalls):
    """Videos with captions, without class labels."""

    name = "without_classes"

    @property
    def features(self) -> Mapping[str, Feature]:
        return {name: feature for name, feature in super().features.items() if name != "label"}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        return {name: value for name, value in super().example(split, index).items() if name != "label"}


@dataclass(frozen=True)
class WithGaps(DescribedBalls):
    """Of one split, every tenth video has no caption; in the others, words that the training has not."""

    name = "with_gaps"

    gaps: str = ""

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        example = super().example(split, index)
        if split == self.gaps and index % 10 == 3:
            return {**example, "caption": []}
        if split != "train":
            return {**example, "caption": [f"{text} here" for text in example["caption"]]}
        return example


def captioned_clips(directory: Path, records: str = "tfds", *, stills: bool = False) -> Path:
    """Clips, or still images, of a CSV with captions and without labels, 16x12 pixels."""
    names = [f"{number}.{'png' if stills else 'mp4'}" for number in range(20)]
    made = [still(seed) if stills else clip(seed, 16) for seed in range(20)]
    source = write(directory.parent / f"{directory.name}_source", dict(zip(names, made, strict=True)))
    rows = [f"{name},A {WORDS[number % 3]}!" for number, name in enumerate(names)]
    (source / "clips.csv").write_text("\n".join(["path,caption", *rows, f"{names[0]},Another one."]))
    given = {"frame_size": "16x12", "fps": 12.0, "splits": "60,20,20", "sequences_per_shard": 5}
    definition = Clips(source=str(source / "clips.csv"), records=records, **given)  # type: ignore[arg-type]
    generate(definition, str(directory), direct_num_workers=1)
    return directory
