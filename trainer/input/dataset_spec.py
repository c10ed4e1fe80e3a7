"""What the trainer knows of a data set beforehand: its features, input, target and number of examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.command_line.errors import RequestError
from pipeline.dataset.features import ClassLabel, Feature, Tensor, Text, Video
from pipeline.dataset.manifest import Manifest
from pipeline.definition import KINDS

# Name of the feature that describes a clip in words.
CAPTION = "caption"


@dataclass(frozen=True)
class DatasetSpec:
    """A data set by its manifest.

    Attributes:
        name: of the kind of data set.
        features: of every record, by name; at least one is a video or a tensor.
        counts: number of examples, by split.
        keys: keys of the features in ``tf.train.SequenceExample`` messages; empty if records are
            ``tf.train.Example`` messages.

    Raises:
        RequestError: if there is no input, or, where that is no frames, a feature has the name of a length
            that is added.
    """

    name: str
    features: Mapping[str, Feature]
    counts: Mapping[str, int]
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not any(isinstance(each, Video | Tensor) for each in self.features.values()):
            raise RequestError(
                f"data set {self.name}: has no video and no tensor among its features; there is no input"
            )
        for length in self.lengths.values():
            if length in self.features and not self.has_frames:
                raise RequestError(
                    f"data set {self.name}: feature {length} has the name of a length that reading adds;"
                    " give it another"
                )

    @classmethod
    def of(cls, manifest: Manifest) -> DatasetSpec:
        """The data set of a manifest."""
        counts = {name: split.num_sequences for name, split in manifest.splits.items()}
        # Only built-in kinds have keys; the module of another kind need not be there.
        keys = manifest.definition.sequence_keys if manifest.kind in KINDS else {}
        return cls(manifest.dataset, manifest.features, counts, keys)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The features that are tensors, by name."""
        return {name: each for name, each in self.features.items() if isinstance(each, Tensor)}

    @property
    def input(self) -> str:
        """Name of the feature that a model looks at: the first video or tensor."""
        return next(name for name, each in self.features.items() if isinstance(each, Video | Tensor))

    @property
    def num_frames(self) -> int | None:
        """Frames of every example: the first dimension of the input; None where it varies."""
        found = self.features[self.input]
        return found.shape[0] if isinstance(found, Tensor) and found.shape else None

    @property
    def has_frames(self) -> bool:
        """Whether the input is frames: a video, or uint8 (T, H, W, 1 or 3) with only T that may vary."""
        found = self.features[self.input]
        return isinstance(found, Video) or (
            isinstance(found, Tensor)
            and found.dtype == "uint8"
            and len(found.shape) == 4
            and None not in found.shape[1:]
            and found.shape[3] in (1, 3)
        )

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a frame, where the input `has_frames`."""
        found = self.features[self.input]
        if isinstance(found, Video):
            return found.shape
        assert isinstance(found, Tensor)
        height, width, channels = (int(size or 0) for size in found.shape[1:])
        return height, width, channels

    @property
    def lengths(self) -> dict[str, str]:
        """Names of lengths, by the tensor whose shape varies: ``length`` for the input's."""
        varying = [name for name, each in self.tensors.items() if None in each.shape]
        return {name: "length" if name == self.input else f"{name}_length" for name in varying}

    @property
    def target(self) -> str | None:
        """Name of the feature that a model learns to answer: the first class label; None if there is none."""
        labels = (name for name, each in self.features.items() if isinstance(each, ClassLabel))
        return next(labels, None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the target's classes by number; none without a target."""
        labels = (each.names for each in self.features.values() if isinstance(each, ClassLabel))
        return next(labels, ())

    @property
    def has_captions(self) -> bool:
        """Whether there are captions: a text or a list of texts by the name of `CAPTION`."""
        return isinstance(self.features.get(CAPTION), Text)

    def check_split(self, split: str) -> None:
        """Check that there is a split of this name.

        Raises:
            RequestError: if not, with the names that there are.
        """
        if split not in tuple(self.counts):  # Out of a file it may be anything, unhashable too.
            raise RequestError(f"--split {split}: give one of {', '.join(self.counts)}")
