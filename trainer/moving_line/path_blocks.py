"""Shards of the path encoding, read in blocks of records.

All such records of an image size have one size and layout, so a file is cut without looking into it, and what
reading record by record costs is paid once a block. Every byte is checked, for all records of a block at
once: the framing and the message by comparison, path and label by the payload's checksum. A CRC is affine
over exclusive or, and `pipeline.moving_line.path_records` has the tables of what every four rows add to it.

Which record is damaged is not said here: see `trainer.input.name_damaged_records.damage_named`.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from pipeline.moving_line.path_records import STEP_OFFSET, STEP_WEIGHTS, PathRecords, path_records
from pipeline.storage.tfrecord import FOOTER_BYTES, MASK_DELTA

# Some hundred kilobytes: what a call of an operation costs is little then, and each reader holds one or two.
BLOCK_RECORDS = 1024


def path_blocks(paths: tf.Tensor, counts: tf.Tensor, passed: tf.Tensor, image_size: int) -> tf.data.Dataset:
    """The sequences of shards, one shard after the other.

    Args:
        paths: of the shards, string (n,).
        counts: of their records, int64 (n,).
        passed: records to pass over, int64, fewer than the first shard has; they are not checked.
        image_size: S.

    Returns:
        Rows, uint8 (up to `BLOCK_RECORDS`, S + 1): paths and their labels. A file that is not there raises
        NotFoundError; a record with a wrong byte, or a file of another size, InvalidArgumentError or
        FailedPreconditionError.
    """
    layout = path_records(image_size)
    check = _Check(layout)
    skipped = tf.where(tf.range(tf.size(counts)) == 0, passed, 0)
    whole, rest = (counts - skipped) // BLOCK_RECORDS, (counts - skipped) % BLOCK_RECORDS
    # Of every shard the whole blocks, then a smaller one: start, size, what lies behind them, how many.
    pieces = (
        tf.repeat(paths, 2),
        _in_turn(skipped, counts - rest) * layout.record_bytes,
        _in_turn(tf.fill(tf.shape(rest), tf.constant(BLOCK_RECORDS, tf.int64)), rest) * layout.record_bytes,
        _in_turn(rest, tf.zeros_like(rest)) * layout.record_bytes,
        _in_turn(whole, tf.minimum(rest, 1)),
    )
    there = pieces[-1] > 0

    def blocks(
        path: tf.Tensor, header: tf.Tensor, size: tf.Tensor, footer: tf.Tensor, number: tf.Tensor
    ) -> tf.data.Dataset:
        read = tf.data.FixedLengthRecordDataset(path, size, header, footer)
        # What is missing or too much may happen to be whole blocks.
        return read.apply(tf.data.experimental.assert_cardinality(number))

    listed = tf.data.Dataset.from_tensor_slices(tuple(tf.boolean_mask(each, there) for each in pieces))
    return listed.flat_map(blocks).map(check.rows)


class _Check:
    """Blocks to rows, every byte checked.

    The number of a place's entry in the table is linear in the row's bytes, so that one product of matrices
    finds all entries; float32 holds such numbers exactly.
    """

    def __init__(self, layout: PathRecords) -> None:
        self._layout = layout
        fixed = np.full(layout.record_bytes, 0xFF, np.uint8)
        fixed[layout.path] = 0
        fixed[layout.label] = 0xFE  # It is 0 or 1.
        fixed[-FOOTER_BYTES:] = 0
        self._fixed = fixed
        tables = (*layout.step_crcs, *layout.path_crcs, layout.label_crcs ^ np.uint32(layout.empty_crc))
        self._table = np.concatenate(tables)
        self._offsets = np.cumsum([0, *map(len, tables[:-1])], dtype=np.int32)[:, None]
        fours = len(layout.step_crcs)
        self._offsets[:fours] += STEP_OFFSET
        alone = np.eye(len(tables) - fours, dtype=np.float32)
        self._weights = np.zeros((len(tables), layout.image_size + 1), np.float32)
        self._weights[:fours, : -len(alone)] = np.kron(np.eye(fours), STEP_WEIGHTS)
        self._weights[fours:, -len(alone) :] = alone

    def rows(self, block: tf.Tensor) -> tf.Tensor:
        """Records, a string, to rows, uint8 (n, S + 1); InvalidArgumentError if a byte is wrong."""
        layout = self._layout
        records = tf.reshape(tf.io.decode_raw(block, tf.uint8), [-1, layout.record_bytes])
        path, label = records[:, layout.path], records[:, layout.label, None]
        rows = tf.concat([path, label], axis=1)
        framing = tf.reduce_all(records & self._fixed == layout.template & self._fixed)
        # Beyond these, four rows may share their entry in the table with four others.
        steps = tf.reduce_all(path[:, 1:] - path[:, :-1] + 1 <= 2) & (tf.reduce_max(path) < layout.image_size)
        stored = tf.bitcast(records[:, -FOOTER_BYTES:], tf.uint32)
        checksums = tf.reduce_all(self._checksums(rows) == stored)
        checked = tf.debugging.Assert(framing & steps & checksums, ["a record of a path is damaged"])
        with tf.control_dependencies([checked]):
            return tf.ensure_shape(rows, [None, layout.image_size + 1])

    def _checksums(self, rows: tf.Tensor) -> tf.Tensor:
        """Masked checksums of the payloads, uint32 (n,)."""
        numbers = tf.matmul(self._weights, tf.cast(rows, tf.float32), transpose_b=True)
        entries = tf.gather(self._table, tf.cast(numbers, tf.int32) + self._offsets)
        crc = functools.reduce(tf.bitwise.bitwise_xor, tf.unstack(entries))
        rotated = tf.bitwise.right_shift(crc, np.uint32(15)) | tf.bitwise.left_shift(crc, np.uint32(17))
        return rotated + np.uint32(MASK_DELTA)


def _in_turn(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.stack([first, second], axis=1), [-1])
