"""Shards to features and labels, in the two encodings.

Reading takes two steps, so that between them sequences can be shuffled in their smallest form: `chunks` reads
shards into that form, `batches` turns it into batches of features and labels.

Features: ``{"path": uint8 (batch, S), "label": uint8 (batch,)}`` or
``{"frames": uint8 (batch, S, S, S, 1)}``. Labels: float32 (batch, 1), 0 = left, 1 = right.
"""

from __future__ import annotations

import math

import tensorflow as tf

from pipeline.moving_line.encodings import Encoding
from pipeline.workers.cores import usable_cores
from trainer.input.path_blocks import BLOCK_RECORDS, path_blocks

# Rows in batches that are ready before they are asked for, so that neither side waits for the other at each.
_ROWS_AHEAD = 16_384

# Cores that decompress frames as fast as one thread copies them into batches: a guess.
_CORES_A_COPIER = 12


class PathRecords:
    """Paths leave their records at once: rows of S + 1 bytes are smaller, and quicker to move about.

    Attributes:
        nothing: a chunk of no sequences, as `chunks` gives it: uint8 (0, S + 1).
        chunk_size: sequences in a chunk where nothing else decides it.
    """

    chunk_size = BLOCK_RECORDS

    def __init__(self, encoding: Encoding, image_size: int) -> None:
        self._feature = encoding.feature
        self._image_size = image_size
        self.nothing = tf.zeros([0, image_size + 1], tf.uint8)

    def chunks(self, paths: tf.Tensor, counts: tf.Tensor, passed: tf.Tensor, size: int) -> tf.data.Dataset:
        """Rows, uint8 (size, S + 1), a path and its label each; arguments as for `path_blocks`."""
        return path_blocks(paths, counts, passed, self._image_size).rebatch(size)

    def parse(self, messages: tf.Tensor) -> tf.Tensor:
        """Serialized messages, string (n,), to rows, uint8 (n, S + 1)."""
        example = tf.io.parse_example(messages, _schema(self._feature))
        paths = tf.io.decode_raw(example[self._feature], tf.uint8)
        rows = tf.concat([paths, tf.cast(example["label"], tf.uint8)[:, None]], axis=1)
        return tf.ensure_shape(rows, [None, self._image_size + 1])

    def batches(
        self, rows: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Batches (features, labels) from chunks of rows."""
        # Chunks, not batches, are turned into features: a call costs as much as dozens of sequences.
        batches = rows.map(self._features).rebatch(batch_size, drop_remainder)
        return batches.prefetch(max(1, _ROWS_AHEAD // batch_size))

    def _features(self, rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        # A byte a label: 64-bit integers would cross to the device for nothing.
        path, label = rows[:, :-1], rows[:, -1]
        return {"path": path, "label": label}, tf.cast(label, tf.float32)[:, None]


class FramesRecords:
    """Frames stay compressed until they are batched: decoded they are some hundred times as large.

    Attributes:
        nothing: a chunk of no records: string (0,).
        chunk_size: records in a chunk where nothing else decides it.
    """

    chunk_size = 16

    def __init__(self, encoding: Encoding, image_size: int) -> None:
        self._feature = encoding.feature
        self._shape = encoding.shape(image_size)
        self.nothing = tf.zeros([0], tf.string)

    def chunks(self, paths: tf.Tensor, counts: tf.Tensor, passed: tf.Tensor, size: int) -> tf.data.Dataset:
        """The records of shards as they are, string (size,); the last chunk may be smaller."""
        records = tf.data.TFRecordDataset(paths).skip(passed)
        # A reader that has read all its shards passes over what there is not.
        left = tf.maximum(tf.reduce_sum(counts) - passed, 0)
        counted = tf.data.experimental.assert_cardinality(left)
        return records.apply(counted).batch(size)

    def batches(
        self, records: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Batches (features, labels) from chunks of records."""
        # One by one, not in batches: all cores share in a batch, and only a few sequences lie about twice. By
        # tf.data.AUTOTUNE there would be 16 at most where tuning is off.
        cores = usable_cores()
        sequences = records.unbatch().map(self._features, cores)
        copiers = -(-cores // _CORES_A_COPIER)
        # A single one is quicker without threads of its own; several keep the order, too.
        return sequences.batch(batch_size, drop_remainder, copiers if copiers > 1 else None).prefetch(1)

    def _features(self, record: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        example = tf.io.parse_single_example(record, _schema(self._feature))
        raw = tf.io.decode_raw(tf.io.decode_compressed(example[self._feature], "ZLIB"), tf.uint8)
        frames = tf.reshape(tf.ensure_shape(raw, [math.prod(self._shape)]), self._shape)
        return {"frames": frames}, tf.cast(example["label"], tf.float32)[None]


def records_of(encoding: Encoding, image_size: int) -> PathRecords | FramesRecords:
    """How the records of a data set are read."""
    kind = PathRecords if encoding.name == "path" else FramesRecords
    return kind(encoding, image_size)


def _schema(feature: str) -> dict[str, tf.io.FixedLenFeature]:
    return {
        feature: tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
