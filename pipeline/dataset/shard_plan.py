"""What a data set is asked to be, and the shards that follow from it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE

DATASET_NAME = "moving_line"
SPLITS = ("train", "validation", "test")

MAX_SHARDS = 1_000_000
# With automatic sharding a split has this many shards, so that as many readers can share it ...
_MIN_SHARDS = 16
# ... and more when a shard would grow beyond this size.
_MAX_SHARD_BYTES = 128 * 2**20


@dataclass(frozen=True)
class DatasetSettings:
    """A validated request for a data set; everything that its bytes depend on.

    Attributes:
        seed: at least 0; with split, image size and index it determines every sequence.
        image_size: S, 2..256; a sequence is S frames of S x S x 1.
        encoding: "path" or "frames".
        num_train, num_validation, num_test: sequences a split, at least 1 each.
        sequences_per_shard: the most sequences in a shard; None chooses automatically.

    Raises:
        RequestError: naming the flag that is wrong.
    """

    seed: int
    image_size: int
    encoding: str
    num_train: int
    num_validation: int
    num_test: int
    sequences_per_shard: int | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise RequestError(f"--seed {self.seed}: give a whole number of at least 0")
        if not MIN_IMAGE_SIZE <= self.image_size <= MAX_IMAGE_SIZE:
            raise RequestError(
                f"--image_size {self.image_size}: give a size from {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}"
            )
        if self.encoding not in ENCODINGS:
            raise RequestError(f"--encoding {self.encoding}: give one of {', '.join(ENCODINGS)}")
        for split, count in self.num_sequences.items():
            if count < 1:
                raise RequestError(f"--num_{split} {count}: give a whole number of at least 1")
        if self.sequences_per_shard is not None and self.sequences_per_shard < 1:
            raise RequestError(
                f"--sequences_per_shard {self.sequences_per_shard}: give a whole number of at least 1"
            )
        for split, count in self.num_sequences.items():
            if (shards := _num_shards(self, count)) > MAX_SHARDS:
                raise RequestError(
                    f"--num_{split} {count} makes {shards} shards: at most {MAX_SHARDS} are possible;"
                    " ask for fewer sequences, or more in a shard"
                )

    @property
    def num_sequences(self) -> dict[str, int]:
        """Number of sequences of each split."""
        return {"train": self.num_train, "validation": self.num_validation, "test": self.num_test}

    def to_json(self) -> dict[str, int | str | None]:
        """The settings as they stand in the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DatasetSettings:
        """The inverse of `to_json`.

        Raises:
            TypeError, ValueError: if it is not what `to_json` gives.
        """
        for name, value in data.items():
            may_be = str if name == "encoding" else int
            if type(value) is not may_be and not (name == "sequences_per_shard" and value is None):
                raise TypeError(f"{name} is {value!r}")
        return cls(**data)


@dataclass(frozen=True)
class Shard:
    """One file of a split: which sequences it holds.

    Attributes:
        split: "train", "validation" or "test".
        index, num_shards: the shard's place among the split's shards.
        first_sequence, num_sequences: it holds first_sequence .. first_sequence + num_sequences - 1.
    """

    split: str
    index: int
    num_shards: int
    first_sequence: int
    num_sequences: int

    @property
    def file_name(self) -> str:
        """The name that TFDS gives it: ``moving_line-train.tfrecord-00000-of-00016``."""
        return f"{DATASET_NAME}-{self.split}.tfrecord-{self.index:05d}-of-{self.num_shards:05d}"


_SHARD_NAME = re.compile(rf"{DATASET_NAME}-\w+\.tfrecord-\d{{5,}}-of-\d{{5,}}")


def is_shard_name(name: str) -> bool:
    """Whether a file is named as `Shard.file_name` names shards, of whatever data set."""
    return _SHARD_NAME.fullmatch(name) is not None


def plan_shards(settings: DatasetSettings) -> list[Shard]:
    """All shards of a data set, split by split. Shards of a split differ by one sequence at most."""
    shards = []
    for split, total in settings.num_sequences.items():
        count = _num_shards(settings, total)
        starts = [index * total // count for index in range(count + 1)]
        shards += [
            Shard(split, index, count, starts[index], starts[index + 1] - starts[index])
            for index in range(count)
        ]
    return shards


def estimated_record_bytes(settings: DatasetSettings) -> int:
    """How many bytes a record takes on disk, framing included: exact for paths, about so for frames."""
    size = settings.image_size
    if (exact := ENCODINGS[settings.encoding].record_bytes(size)) is not None:
        return exact
    # Fitted to what was written, within a tenth; the larger sizes are left to zlib.
    return 85 + (size**3 // 1032 + size**2 // 19 + 5 * size // 2 if size < 182 else size**3 // 300)


def _num_shards(settings: DatasetSettings, total: int) -> int:
    if settings.sequences_per_shard is not None:
        return -(-total // settings.sequences_per_shard)
    by_size = -(-total * estimated_record_bytes(settings) // _MAX_SHARD_BYTES)
    return max(min(_MIN_SHARDS, total), by_size)
