"""The kind of data set of moving lines, whose sequences `pipeline.moving_line.lines` defines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.command_line.arguments import non_negative_int, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.dataset.block import Block
from pipeline.dataset.content_digest import Contents, pieces
from pipeline.dataset.features import ClassLabel, Feature, Tensor, Text
from pipeline.dataset.shard_plan import check_num_shards
from pipeline.dataset.statistics import ChiSquaredTest, Statistics
from pipeline.definition import Definition, setting
from pipeline.moving_line.encodings import CAPTIONED_FRAMES, ENCODINGS, Encoding
from pipeline.moving_line.lines import (
    CLASS_NAMES,
    DEFINITION_VERSION,
    MAX_IMAGE_SIZE,
    MIN_IMAGE_SIZE,
    Int64Array,
    Uint8Array,
    draw_frames,
    sample_sequences,
)
from pipeline.moving_line.statistics import LineStatistics

# Largest block in sequences and in bytes, so that a block stays in the processor's cache.
_BLOCK_SEQUENCES = 4096
_BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class MovingLine(Definition):
    """The definition of a data set of moving lines.

    Attributes:
        seed: 0 or more; seed, split, image size and number determine a sequence.
        image_size: S in pixels, 2..256; a sequence is S frames of S x S x 1.
        encoding: encoding of the records: "path" or "frames".
        num_train, num_validation, num_test: number of sequences by split, at least 1 each.
        sequences_per_shard: largest number of sequences in a shard; None: chosen automatically.
        captions: whether the records have a caption; only those of frames can.

    Raises:
        RequestError: if a setting is wrong; the message names its flag.
    """

    name = "moving_line"
    title = "moving lines"
    description = (
        "Moving lines: sequences of square frames in which a line grows by a pixel a frame,"
        " leftwards or rightwards."
    )
    version = DEFINITION_VERSION
    format_version = 2
    examples_per_leaf = 4096
    palette = ("#12203a", "#ffd166")

    seed: int = setting(0, "decides every sequence", type=non_negative_int)
    image_size: int = setting(50, "S in pixels, 2..256; S frames of S x S", type=positive_int)
    encoding: str = setting(
        "path", f"{' or '.join(ENCODINGS)}: S bytes a sequence, or its frames, compressed"
    )
    num_train: int = setting(200_000, "training sequences", type=positive_int)
    num_validation: int = setting(5_000, "validation sequences", type=positive_int)
    num_test: int = setting(10_000, "test sequences", type=positive_int)
    sequences_per_shard: int | None = setting(
        None,
        "the most sequences in a shard (default: 16 shards a split, more beyond 128 MiB a shard)",
        type=positive_int,
    )
    captions: bool = setting(False, "of frames: each record says in words which way its line grows")

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.seed < 0:
            raise RequestError(f"--seed {self.seed}: give a whole number of at least 0")
        if not MIN_IMAGE_SIZE <= self.image_size <= MAX_IMAGE_SIZE:
            raise RequestError(
                f"--image_size {self.image_size}: give a size from {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE}"
            )
        if self.encoding not in ENCODINGS:
            raise RequestError(f"--encoding {self.encoding}: give one of {', '.join(ENCODINGS)}")
        if self.captions and not ENCODINGS[self.encoding].may_have_caption:
            raise RequestError(f"--captions: records of {self.encoding} have none; add --encoding frames")
        super().__post_init__()
        check_num_shards(self.num_sequences, self.record_bytes, self.sequences_per_shard)

    @property
    def codec(self) -> Encoding:
        """The encoding of the records."""
        return CAPTIONED_FRAMES if self.captions else ENCODINGS[self.encoding]

    @property
    def features(self) -> Mapping[str, Feature]:
        """See `Definition.features`."""
        codec = self.codec
        sequence = Tensor("uint8", codec.shape(self.image_size), codec.tfds_encoding)
        caption = {"caption": Text(is_list=True)} if self.captions else {}
        return {codec.feature: sequence, "label": ClassLabel(CLASS_NAMES), **caption}

    @property
    def record_bytes(self) -> int:
        """See `Definition.record_bytes`: exact for paths; for frames, within 10 % if S < 182."""
        return self.codec.record_bytes(self.image_size)

    @property
    def content_identity(self) -> dict[str, Any]:
        """See `Definition.content_identity`."""
        return {"image_size": self.image_size}

    def libraries(self) -> dict[str, str]:
        """See `Definition.libraries`."""
        return self.codec.libraries(self.image_size)

    def sample(self, split: str, first: int, count: int) -> tuple[Uint8Array, Int64Array]:
        """Paths, uint8 (count, S), and labels, int64 (count,), of consecutive sequences of a split."""
        return sample_sequences(self.seed, split, self.image_size, first, count)

    def blocks(self, split: str, first: int, count: int) -> Iterator[Block]:
        """See `Definition.blocks`."""
        size = max(1, min(_BLOCK_SEQUENCES, _BLOCK_BYTES // self.record_bytes))
        for start, number in pieces(first, count, size):
            yield LineBlock(self.codec, start, *self.sample(split, start, number))

    def content(self, payload: bytes) -> bytes:
        """See `Definition.content`."""
        path, label = self.codec.decode_record(payload, self.image_size)
        return path.tobytes() + bytes([label])

    def statistics_from_json(self, document: Mapping[str, Any]) -> Statistics:
        """See `Definition.statistics_from_json`."""
        return LineStatistics.from_json(document)

    def chi_squared_tests(self, split: str, statistics: Statistics) -> list[ChiSquaredTest]:
        """See `Definition.chi_squared_tests`."""
        # Imported here, so that workers do not need SciPy.
        from pipeline.moving_line.goodness_of_fit import chi_squared_tests

        assert isinstance(statistics, LineStatistics)
        return chi_squared_tests(split, statistics)

    def frames(self, example: Mapping[str, Any]) -> Uint8Array:
        """See `Definition.frames`; pixels are 0 and 1."""
        if "path" in example:
            example = {"frames": draw_frames(example["path"][None], np.array([example["label"]]))[0]}
        return super().frames(example)

    def caption(self, example: Mapping[str, Any]) -> str:
        """See `Definition.caption`: the class, the start row, and the stored caption."""
        row = example["path"][0] if "path" in example else example["frames"][0].any(axis=(1, 2)).argmax()
        return ", ".join([f"{super().caption(example)}, from row {row}", *example.get("caption", ())])

    def to_json(self) -> dict[str, Any]:
        """See `Definition.to_json`; ``captions`` only if True: data sets without keep their fingerprints."""
        return {name: value for name, value in super().to_json().items() if name != "captions" or value}

    def draw_statistics(self, splits: Mapping[str, Statistics], path: str) -> None:
        """See `Definition.draw_statistics`: shares beside the definition's probabilities."""
        from pipeline.moving_line.statistics_picture import draw_statistics

        draw_statistics(splits, path)


class LineBlock(Block):
    """A block of sequences; the content of a sequence is its path and its label, S + 1 bytes.

    Args:
        codec: encoding of the records.
        first: see `Block`.
        paths: uint8 (n, S).
        labels: int64 (n,).
    """

    def __init__(self, codec: Encoding, first: int, paths: Uint8Array, labels: Int64Array) -> None:
        self.first = first
        self._codec, self._paths, self._labels = codec, paths, labels
        self.contents = contents_of(paths, labels)

    def records(self) -> bytes:
        """See `Block.records`."""
        return self._codec.encode(self._paths, self._labels)

    def statistics(self) -> Statistics:
        """See `Block.statistics`."""
        return LineStatistics.of(self._paths, self._labels)


def contents_of(paths: Uint8Array, labels: Int64Array) -> Contents:
    """The contents of sequences: paths, uint8 (n, S), and labels, int64 (n,), to uint8 (n, S + 1)."""
    contents = np.empty((len(paths), paths.shape[1] + 1), np.uint8)
    contents[:, :-1] = paths
    contents[:, -1] = labels
    return contents
