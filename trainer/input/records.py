"""Shards to features and labels: what a way of reading provides, and the way for data sets of any kind.

Reading takes two steps, so that between them examples can be shuffled in their smallest form:
`Records.chunks` reads shards into that form, `Records.batches` turns it into batches of features and labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

from pipeline.dataset.features import NONE, ZLIB, Tensor, decode
from pipeline.workers.cores import usable_cores
from trainer.input.dataset_spec import DatasetSpec

# Cores that decompress frames as fast as one thread copies them into batches: a guess.
_CORES_A_COPIER = 12

# Of these, TensorFlow makes no tensor from bytes: it makes one of the signed type, of the same bits.
_SIGNED = {tf.uint32: tf.int32, tf.uint64: tf.int64}


@dataclass(frozen=True)
class Numbering:
    """Numbers of examples, where batches are parts of larger ones.

    Attributes:
        first: number of the first example of the first batch, int64 ().
        stride: from the first example of a batch to that of the next.
    """

    first: tf.Tensor | int
    stride: int


class Records(Protocol):
    """A way of reading.

    Attributes:
        nothing: a chunk of no examples, as `chunks` gives it.
        chunk_size: examples in a chunk where nothing else decides it.
    """

    nothing: tf.Tensor
    chunk_size: int

    def chunks(self, paths: tf.Tensor, counts: tf.Tensor, passed: tf.Tensor, size: int) -> tf.data.Dataset:
        """The examples of shards in their smallest form, one shard after the other.

        Args:
            paths: of the shards, string (n,).
            counts: of their records, int64 (n,).
            passed: records to pass over, int64, fewer than the first shard has; they may go unchecked.
            size: examples in a chunk; the last one may be smaller.
        """

    def batches(
        self,
        chunks: tf.data.Dataset,
        batch_size: int,
        *,
        drop_remainder: bool = False,
        numbering: Numbering | None = None,
    ) -> tf.data.Dataset:
        """Batches (features, labels) from chunks.

        What is random of an example is a function of its number.

        Features: tensors by name, (batch, ...). Labels: number of the class, float32 (batch, 1), as Keras'
        losses compute with it.
        """

    def check(self, payload: bytes) -> None:
        """Check a record by itself.

        Raises:
            ValueError: with what is wrong.
        """


class ExampleRecords:
    """Reads ``tf.train.Example`` messages, whatever features they have.

    They stay as they are stored until they are batched: compressed, frames are some hundred times as small.

    Features: every tensor by its name, in its dtype. A dimension that varies is padded with zeros at its end
    to the longest of a batch; the lengths before that stand beside it, int32 (batch,), by the name that
    `DatasetSpec.lengths` gives. Labels: as `Records.batches` says, (batch, 0) without a target.

    Args:
        spec: of the data set.
    """

    chunk_size = 16

    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec
        self.nothing = tf.zeros([0], tf.string)

    def chunks(self, paths: tf.Tensor, counts: tf.Tensor, passed: tf.Tensor, size: int) -> tf.data.Dataset:
        """See `Records.chunks`: messages, string (size,)."""
        records = tf.data.TFRecordDataset(paths).skip(passed)
        # A reader that has read all its shards passes over what there is not.
        left = tf.maximum(tf.reduce_sum(counts) - passed, 0)
        counted = tf.data.experimental.assert_cardinality(left)
        return records.apply(counted).batch(size)

    def batches(
        self,
        chunks: tf.data.Dataset,
        batch_size: int,
        *,
        drop_remainder: bool = False,
        numbering: Numbering | None = None,
    ) -> tf.data.Dataset:
        """See `Records.batches`; nothing is random."""
        # Decode before batching: all cores work on one batch, and few decoded examples are held twice. By
        # tf.data.AUTOTUNE there would be 16 calls at most where tuning is off.
        cores = usable_cores()
        examples = chunks.unbatch().map(self._decode, cores)
        if self._spec.lengths:
            return examples.padded_batch(batch_size, drop_remainder=drop_remainder).prefetch(1)
        copiers = -(-cores // _CORES_A_COPIER)
        # A single one is quicker without threads of its own; several keep the order, too.
        return examples.batch(batch_size, drop_remainder, copiers if copiers > 1 else None).prefetch(1)

    def check(self, payload: bytes) -> None:
        """See `Records.check`."""
        decode(self._spec.features, payload)

    def _decode(self, message: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        spec = self._spec
        stored = tf.io.parse_single_example(message, _schema(spec))
        features = {name: stored_array(tensor, stored[name]) for name, tensor in spec.tensors.items()}
        for name, length in spec.lengths.items():
            features[length] = tf.shape(features[name])[spec.tensors[name].shape.index(None)]
        labels = tf.zeros([0]) if spec.target is None else tf.cast(stored[spec.target], tf.float32)[None]
        return features, labels


def _schema(spec: DatasetSpec) -> Mapping[str, Any]:
    """How TensorFlow parses the features that are read."""
    schema = {name: stored_schema(tensor) for name, tensor in spec.tensors.items()}
    if spec.target is not None:
        schema[spec.target] = tf.io.FixedLenFeature([], tf.int64)
    return schema


def stored_schema(tensor: Tensor) -> Any:
    """How TensorFlow parses a tensor's feature."""
    if tensor.encoding != NONE:
        return tf.io.FixedLenFeature([], tf.string)
    dtype = tf.float32 if tf.as_dtype(tensor.dtype).is_floating else tf.int64
    if None in tensor.shape:
        return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
    return tf.io.FixedLenFeature([_num_values(tensor)], dtype)


def stored_array(tensor: Tensor, stored: tf.Tensor) -> tf.Tensor:
    """The array that was stored, in its dtype and shape."""
    dtype = tf.as_dtype(tensor.dtype)
    if tensor.encoding == NONE:
        values = tf.cast(stored, dtype)
    else:
        raw = tf.io.decode_compressed(stored, "ZLIB") if tensor.encoding == ZLIB else stored
        values = tf.io.decode_raw(raw, _SIGNED.get(dtype, dtype))
        values = tf.bitcast(values, dtype) if dtype in _SIGNED else values
    if None not in tensor.shape:
        values = tf.ensure_shape(values, [_num_values(tensor)])
    shape = [-1 if size is None else size for size in tensor.shape]
    return tf.reshape(values, shape)


def _num_values(tensor: Tensor) -> int:
    return math.prod(size for size in tensor.shape if size is not None)
