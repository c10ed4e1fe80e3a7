"""How records of moving lines are read, in their two encodings.

Features: ``{"path": uint8 (batch, S), "label": uint8 (batch,)}`` or
``{"frames": uint8 (batch, S, S, S, 1)}``. Labels: float32 (batch, 1), 0 = left, 1 = right.
"""

from __future__ import annotations

import tensorflow as tf

from pipeline.moving_line.encodings import ENCODINGS
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.records import ExampleRecords, Numbering
from trainer.moving_line.path_blocks import BLOCK_RECORDS, path_blocks

# Rows in batches that are ready before they are asked for, so that neither side waits for the other at each.
_ROWS_AHEAD = 16_384


class PathRows:
    """Paths leave their records at once: rows of S + 1 bytes are smaller, and quicker to move about.

    Args:
        image_size: S.
    """

    chunk_size = BLOCK_RECORDS

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size
        self.nothing = tf.zeros([0, image_size + 1], tf.uint8)

    def chunks(self, paths: tf.Tensor, counts: tf.Tensor, passed: tf.Tensor, size: int) -> tf.data.Dataset:
        """Rows, uint8 (size, S + 1), a path and its label each; see `Records.chunks`."""
        return path_blocks(paths, counts, passed, self._image_size).rebatch(size)

    def parse(self, messages: tf.Tensor) -> tf.Tensor:
        """Serialized messages, string (n,), to rows, uint8 (n, S + 1)."""
        schema = {"path": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
        example = tf.io.parse_example(messages, schema)
        paths = tf.io.decode_raw(example["path"], tf.uint8)
        rows = tf.concat([paths, tf.cast(example["label"], tf.uint8)[:, None]], axis=1)
        return tf.ensure_shape(rows, [None, self._image_size + 1])

    def batches(
        self,
        chunks: tf.data.Dataset,
        batch_size: int,
        *,
        drop_remainder: bool = False,
        numbering: Numbering | None = None,
    ) -> tf.data.Dataset:
        """Batches (features, labels) from chunks of rows; nothing is random."""
        # Chunks, not batches, are turned into features: a call costs as much as dozens of sequences.
        batches = chunks.map(self._features).rebatch(batch_size, drop_remainder)
        return batches.prefetch(max(1, _ROWS_AHEAD // batch_size))

    def check(self, payload: bytes) -> None:
        """See `Records.check`: it must be a path that the definition allows."""
        ENCODINGS["path"].decode_record(payload, self._image_size)

    def _features(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        # A byte a label: 64-bit integers would cross to the device for nothing.
        path, label = rows[:, :-1], rows[:, -1]
        return {"path": path, "label": label}, tf.cast(label, tf.float32)[:, None]


class LineFrames(ExampleRecords):
    """Frames of lines, read as those of any other kind.

    Args:
        spec: of the data set.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__(spec)
        self._image_size = image_size_of(spec)

    def check(self, payload: bytes) -> None:
        """See `Records.check`: they must be frames that a path draws."""
        ENCODINGS["frames"].decode_record(payload, self._image_size)


def line_records(spec: DatasetSpec) -> PathRows | LineFrames:
    """How a data set of lines is read."""
    return PathRows(image_size_of(spec)) if spec.input == "path" else LineFrames(spec)


def batch_encoding(spec: DatasetSpec) -> str:
    """How batches hold lines: "path" or "frames", as `model.moving_line.observed_frames` takes them."""
    return "frames" if spec.input == "frames" else "path"


def image_size_of(spec: DatasetSpec) -> int:
    """S of a data set of lines, which is also the number of frames."""
    size = spec.num_frames
    assert size is not None
    return size
