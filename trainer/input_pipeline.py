"""tf.data input: shards to batches, in an order that is a pure function of (seed, epoch, readers).

Contract of the training order:

- Every epoch, the shards are shuffled and dealt in turn to the readers, as cards are. A reader reads its
  shards one after the other.
- A **window** takes the next ``shuffle_window / readers`` records of every reader, reader by reader, until
  the readers run out. The records of a window are shuffled, and windows follow each other.
- Batches of ``batch_size`` are cut from that stream; the rest of an epoch that fills no batch is left out.

Both shuffles sort stateless Philox random numbers of (seed, epoch) and (seed, epoch, window), so nothing
depends on threads or on what was read before. A run may therefore start at any step: the epochs, windows
and shards that lie before it are counted, not decoded.

    train = training_batches(files, batch_size=64, seed=0, readers=16)   # endless
    features, label = next(iter(train))   # {"path": (64, S) uint8, "label": (64,) uint8}, (64, 1) float32

What is shuffled are parsed paths or compressed frames, the smallest form of each; `trainer.records` says how.

Memory: about four windows (one read ahead by the readers, one being shuffled, one shuffled ahead, one being
batched), of 64 MiB at most each, and a few batches, whatever the data set's size.
"""

from __future__ import annotations

import itertools

import tensorflow as tf

from trainer.datasets import SplitFiles
from trainer.records import records_of

SHUFFLE_WINDOW = 32_768

# Large frames fill this before they are so many.
_WINDOW_BYTES = 64 * 2**20

_SHARD_SHUFFLE, _WINDOW_SHUFFLE = 0, 1  # Keep the two uses of (seed, epoch) apart.
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
) -> tf.data.Dataset:
    """Endless shuffled batches for training; see the module's docstring for their order.

    Args:
        files: the split; at least ``batch_size`` sequences.
        batch_size: sequences a batch.
        seed: of the order.
        readers: shards read in parallel, at most as many as there are shards.
        first_step: batches to pass over, counted from the first batch of the first epoch.
        shuffle_window: records shuffled together, fewer if they would take more than 64 MiB as they are
            stored; rounded down to a multiple of ``readers``.

    Returns:
        Batches (features, labels) as `sequential_batches` gives, all of ``batch_size``.
    """
    epoch, step = divmod(first_step, steps_per_pass(files, batch_size))
    window = min(shuffle_window, _WINDOW_BYTES * files.num_sequences // files.num_bytes)
    order = _EpochOrder(files, seed, readers, max(1, window // readers), batch_size)
    passed = tf.constant(step * batch_size, tf.int64)  # Of the first epoch; it may begin in its middle.
    epochs = tf.data.Dataset.range(epoch, _MANY_EPOCHS)
    return _untuned(epochs.flat_map(lambda e: order.batches(e, tf.where(e == epoch, passed, 0))))


def sequential_batches(files: SplitFiles, *, batch_size: int, first: int = 0) -> tf.data.Dataset:
    """Every sequence of a split once, in order, from number ``first`` on; the last batch may be smaller.

    The number of batches is known beforehand, and tf.data raises if the shards together hold fewer or more
    records than the manifest says.

    Returns:
        Batches (features, labels). Features: ``{"path": uint8 (batch, S), "label": uint8 (batch,)}`` or
        ``{"frames": uint8 (batch, S, S, S, 1)}``. Labels: float32 (batch, 1), 0 = left, 1 = right.
    """
    shards = zip(files.paths, itertools.accumulate(files.counts), files.counts, strict=True)
    left = [(path, end, count) for path, end, count in shards if end > first]
    before = left[0][1] - left[0][2]
    records = tf.data.TFRecordDataset([path for path, _, _ in left]).skip(first - before)
    counted = records.apply(tf.data.experimental.assert_cardinality(files.num_sequences - first))
    kind = records_of(files.encoding, files.image_size)
    prepared = counted.batch(kind.chunk_size).map(kind.prepare, tf.data.AUTOTUNE)
    num_batches = -(-(files.num_sequences - first) // batch_size)
    batches = kind.batches(prepared, batch_size)
    return _untuned(batches.apply(tf.data.experimental.assert_cardinality(num_batches)))


def _untuned(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same batches, in less time: tuning looks at the clock at every step of every record."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


class _EpochOrder:
    """The order of one epoch's records, as a graph over the epoch's number."""

    def __init__(self, files: SplitFiles, seed: int, readers: int, per_reader: int, batch_size: int) -> None:
        self._kind = records_of(files.encoding, files.image_size)
        self._paths = tf.constant(files.paths)
        self._counts = tf.constant(files.counts, tf.int64)
        self._seed = seed
        self._readers = readers
        self._per_reader = per_reader
        self._batch_size = batch_size

    def batches(self, epoch: tf.Tensor, passed: tf.Tensor) -> tf.data.Dataset:
        """Batches (features, labels), from the record number ``passed`` of the epoch's order on."""
        shards = self._shuffled(tf.range(tf.size(self._paths)), epoch, _SHARD_SHUFFLE, 0)
        dealt = [shards[reader :: self._readers] for reader in range(self._readers)]
        totals = tf.stack([tf.reduce_sum(tf.gather(self._counts, hand)) for hand in dealt])
        window, within = self._locate(totals, passed)
        num_windows = -(-tf.reduce_max(totals) // self._per_reader)
        readers = [self._reader(hand, window * self._per_reader) for hand in dealt]

        def shuffle(index: tf.Tensor, *parts: tf.Tensor) -> tf.Tensor:
            skipped = tf.where(index == window, within, 0)
            return self._shuffled(tf.concat(parts, 0), epoch, _WINDOW_SHUFFLE, index, skipped)

        windows = (
            tf.data.Dataset.zip((tf.data.Dataset.range(window, num_windows), *readers))
            .map(shuffle)
            .prefetch(1)
        )
        return self._kind.batches(windows, self._batch_size, drop_remainder=True)

    def _locate(self, totals: tf.Tensor, passed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The window that holds a record of the epoch's order, and the record's place within it."""
        ends = tf.range(1, -(-tf.reduce_max(totals) // self._per_reader) + 1) * self._per_reader
        through = tf.reduce_sum(tf.minimum(totals[None, :], ends[:, None]), axis=1)
        window = tf.searchsorted(through, [passed], side="right")[0]
        before = tf.where(window > 0, through[tf.maximum(window - 1, 0)], 0)
        return tf.cast(window, tf.int64), passed - before

    def _reader(self, hand: tf.Tensor, passed: tf.Tensor) -> tf.data.Dataset:
        """One reader's share of every window, prepared for the shuffle; empty when its shards are read."""
        ends = tf.cumsum(tf.gather(self._counts, hand))
        whole = tf.searchsorted(ends, [passed], side="right")[0]
        inside = passed - tf.where(whole > 0, ends[tf.maximum(whole - 1, 0)], 0)
        paths = tf.gather(self._paths, hand[whole:])
        records = tf.data.TFRecordDataset(paths).skip(inside)
        nothing = tf.data.Dataset.from_tensors(self._kind.nothing).repeat()
        shares = records.batch(self._per_reader).map(self._kind.prepare)
        return shares.concatenate(nothing).prefetch(1)

    def _shuffled(
        self,
        values: tf.Tensor,
        epoch: tf.Tensor,
        use: int,
        index: tf.Tensor | int,
        skipped: tf.Tensor | int = 0,
    ) -> tf.Tensor:
        """Values in an order drawn from (seed, epoch, use, index), without the first ``skipped`` of them."""
        mixed = tf.random.experimental.stateless_fold_in(
            tf.constant([self._seed % 2**63, use], tf.int64), epoch, alg="philox"
        )
        mixed = tf.random.experimental.stateless_fold_in(mixed, tf.cast(index, tf.int64), alg="philox")
        draws = tf.random.stateless_uniform(
            [tf.shape(values)[0]], mixed, minval=None, maxval=None, dtype=tf.int64, alg="philox"
        )
        return tf.gather(values, tf.argsort(draws, stable=True)[skipped:])
