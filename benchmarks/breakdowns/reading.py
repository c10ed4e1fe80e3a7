"""Where the time goes when the trainer reads shuffled paths; TensorFlow has one thread."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.breakdowns import Breakdown
from benchmarks.data import data_set
from benchmarks.limits import Limits, seconds_a_call
from trainer.input.batches import training_batches
from trainer.input.shuffle_order import SHUFFLE_WINDOW
from trainer.input.split_files import read_manifest, split_files
from trainer.moving_line.records import image_size_of, line_records

_BATCH_SIZE = 256
_READERS = 16
_CHUNK = SHUFFLE_WINDOW // _READERS


def measure(directory: Path, limits: Limits, count: int) -> Breakdown:
    """Each part is a pipeline with one step more; the last is the trainer's."""
    data = str(data_set(directory, "path", count))
    files = split_files(data, read_manifest(data), "train")
    kind = line_records(files.spec)
    chunks = kind.chunks(
        tf.constant(files.paths), tf.constant(files.counts, tf.int64), tf.constant(0, tf.int64), _CHUNK
    )
    rows = tf.concat([next(iter(chunks))] * _READERS, 0)

    def shuffle() -> Any:
        draws = tf.random.uniform([len(rows)], maxval=2**62, dtype=tf.int64)
        return tf.gather(rows, tf.argsort(draws, stable=True))

    batching = tf.data.Dataset.from_tensors(rows).repeat(count // len(rows))
    parts = {
        "rows from files, every byte checked": _pass(chunks) / count,
        "shuffling a window": seconds_a_call(shuffle) / len(rows),
        "batches of features": _pass(kind.batches(batching, _BATCH_SIZE)) / count,
    }
    batches = training_batches(files, batch_size=_BATCH_SIZE, seed=0, readers=_READERS)
    steps = count // _BATCH_SIZE
    record = files.num_bytes / files.num_sequences
    row = image_size_of(files.spec) + 1
    limit = record / limits.crc32c + (2 * record + 3 * row) / limits.copy
    return Breakdown(
        "reading, shuffled paths",
        {name: 1e9 * taken for name, taken in parts.items()},
        1e9 * _pass(batches.take(steps)) / (steps * _BATCH_SIZE),
        1e9 * limit,
        f"{record:.0f} bytes of CRC-32C, copied from the file and as a string, and {row} bytes copied as"
        " parsed, shuffled and batched",
    )


def _pass(batches: tf.data.Dataset) -> float:
    """Seconds of a pass, but for what is built at its start."""
    options = tf.data.Options()
    options.autotune.enabled = False
    iterator = iter(batches.with_options(options))
    next(iterator)
    start = time.perf_counter()
    for _ in iterator:
        pass
    return time.perf_counter() - start
