"""Serialized records to features and labels, in the two encodings.

Reading takes two steps, so that between them sequences can be shuffled in their smallest form: `prepare`
turns chunks of records into that form, `batches` turns it into batches of features and labels.

Features: ``{"path": uint8 (batch, S), "label": uint8 (batch,)}`` or
``{"frames": uint8 (batch, S, S, S, 1)}``. Labels: float32 (batch, 1), 0 = left, 1 = right.
"""

from __future__ import annotations

import math

import tensorflow as tf

from pipeline.encodings import Encoding

# Rows in batches that are ready before they are asked for, so that neither side waits for the other at each.
_ROWS_AHEAD = 16_384


class PathRecords:
    """Paths are parsed at once: rows of S + 1 bytes are smaller than records, and quicker to move about.

    Attributes:
        nothing: a chunk of no sequences, as `prepare` gives it: uint8 (0, S + 1).
        chunk_size: records to prepare at once where nothing else decides it.
    """

    chunk_size = 1024

    def __init__(self, encoding: Encoding, image_size: int) -> None:
        self._feature = encoding.feature
        self._image_size = image_size
        self.nothing = tf.zeros([0, image_size + 1], tf.uint8)

    def prepare(self, records: tf.Tensor) -> tf.Tensor:
        """Records, string (n,), to rows, uint8 (n, S + 1): a path and its label."""
        example = tf.io.parse_example(records, _schema(self._feature))
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
        chunk_size: records to prepare at once where nothing else decides it.
    """

    chunk_size = 16

    def __init__(self, encoding: Encoding, image_size: int) -> None:
        self._feature = encoding.feature
        self._shape = encoding.shape(image_size)
        self.nothing = tf.zeros([0], tf.string)

    def prepare(self, records: tf.Tensor) -> tf.Tensor:
        """The records, string (n,), as they are."""
        return records

    def batches(
        self, records: tf.data.Dataset, batch_size: int, *, drop_remainder: bool = False
    ) -> tf.data.Dataset:
        """Batches (features, labels) from chunks of records."""
        # One by one, not in batches: all cores share in a batch, and only a few sequences lie about twice.
        sequences = records.unbatch().map(self._features, tf.data.AUTOTUNE)
        return sequences.batch(batch_size, drop_remainder).prefetch(1)

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
