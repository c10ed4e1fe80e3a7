"""tf.data input: shards to batches, in an order that is a pure function of (seed, epoch, readers).

`trainer.input.shuffle_order` gives shuffled windows of records. Batches of ``batch_size`` are cut from them;
the rest of an epoch that fills no batch is left out. A run may start at any step: the epochs, windows and
shards that lie before it are counted, not decoded.

    train = training_batches(files, batch_size=64, seed=0, readers=16)   # endless
    features, label = next(iter(train))   # {"path": (64, S) uint8, "label": (64,) uint8}, (64, 1) float32

Memory: about four windows (one read ahead by the readers, one being shuffled, one shuffled ahead, one being
batched), of 64 MiB at most each, and a few batches (of frames one more for every dozen cores), whatever the
data set's size.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from trainer.dataset_kinds import records_of
from trainer.input.data_service import DataService
from trainer.input.records import Numbering
from trainer.input.shuffle_order import SHUFFLE_WINDOW, WindowOrder
from trainer.input.split_files import SplitFiles

_MANY_EPOCHS = 2**31


def steps_per_pass(files: SplitFiles, batch_size: int) -> int:
    """Whole batches in one epoch over a split."""
    return files.num_sequences // batch_size


def training_batches(
    files: SplitFiles,
    *,
    batch_size: int,
    seed: int,
    readers: int,
    first_step: int = 0,
    shuffle_window: int = SHUFFLE_WINDOW,
    service: DataService | None = None,
    numbering: Numbering | None = None,
) -> tf.data.Dataset:
    """Endless shuffled batches for training; see the module's docstring.

    Args:
        files: the split; at least ``batch_size`` sequences.
        batch_size: sequences a batch.
        seed, readers, shuffle_window: see `WindowOrder`.
        first_step: batches to pass over, counted from the first batch of the first epoch.
        service: reads the windows; None reads them here.
        numbering: of the run's examples from its very first batch on; None counts them.

    Returns:
        Batches (features, labels) as `sequential_batches` gives, all of ``batch_size``.
    """
    order = WindowOrder(files, seed, readers, shuffle_window)
    read = service.windows(order) if service is not None else order.windows
    steps = steps_per_pass(files, batch_size)
    first_epoch, step = divmod(first_step, steps)
    numbering = numbering or Numbering(0, batch_size)
    passed_steps = tf.constant(step, tf.int64)
    passed = tf.constant(step * batch_size, tf.int64)  # Of the first epoch; it may begin in its middle.

    def batches(epoch: tf.Tensor) -> tf.data.Dataset:
        first, within = order.locate(epoch, tf.where(epoch == first_epoch, passed, 0))
        whole = read(epoch, first).enumerate()
        left = whole.map(lambda number, rows: rows[tf.where(number == 0, within, 0) :])
        steps_before = epoch * steps + passed_steps * tf.cast(epoch == first_epoch, tf.int64)
        numbers = Numbering(numbering.first + steps_before * numbering.stride, numbering.stride)
        return order.records.batches(left, batch_size, drop_remainder=True, numbering=numbers)

    return _untuned(tf.data.Dataset.range(first_epoch, _MANY_EPOCHS).flat_map(batches))


def sequential_batches(files: SplitFiles, *, batch_size: int, first: int = 0) -> tf.data.Dataset:
    """Every sequence of a split once, in order, from number ``first`` on; the last batch may be smaller.

    The number of batches is known beforehand, and tf.data raises if the shards together hold fewer or more
    records than the manifest says.

    Returns:
        Batches (features, labels) as `trainer.input.records.Records.batches` gives.
    """
    shards = zip(files.paths, itertools.accumulate(files.counts), files.counts, strict=True)
    left = [(path, end, count) for path, end, count in shards if end > first]
    paths, ends, counts = zip(*left, strict=True)
    passed = tf.constant(first - ends[0] + counts[0], tf.int64)
    records = records_of(files)
    chunks = records.chunks(tf.constant(paths), tf.constant(counts, tf.int64), passed, records.chunk_size)
    num_batches = -(-(files.num_sequences - first) // batch_size)
    batches = records.batches(chunks, batch_size, numbering=Numbering(first, batch_size))
    return _untuned(batches.apply(tf.data.experimental.assert_cardinality(num_batches)))


def ahead_on(batches: tf.data.Dataset, device: str | None) -> tf.data.Dataset:
    """The same batches on a device, where the next one goes while a step works on the one before.

    Args:
        batches: nothing may be done to them afterwards.
        device: its name for TensorFlow; None leaves everything as it is.
    """
    if device is None:
        return batches
    return batches.apply(tf.data.experimental.prefetch_to_device(device, buffer_size=1))


def _untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same batches, in less time: tuning looks at the clock at every step of every record."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)
