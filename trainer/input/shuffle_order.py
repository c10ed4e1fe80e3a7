"""The order in which a training reads: a pure function of (seed, epoch, readers).

- Every epoch, the shards are shuffled and dealt in turn to the readers, as cards are. A reader reads its
  shards one after the other.
- A **window** takes the next ``size / readers`` records of every reader, reader by reader, until the readers
  run out. The records of a window are shuffled, and windows follow each other.

Both shuffles sort stateless Philox random numbers of (seed, epoch) and (seed, epoch, window), so nothing
depends on threads or on what was read before: any window can be read without those before it, by whoever
sees the shards.

What is shuffled is the smallest form of the examples: see `trainer.input.records`.
"""

from __future__ import annotations

import tensorflow as tf

from trainer.dataset_kinds import records_of
from trainer.input.split_files import SplitFiles
from trainer.run.tensorflow_files import absolute_path

# Large frames fill this before they are `SHUFFLE_WINDOW` records.
WINDOW_BYTES = 64 * 2**20
SHUFFLE_WINDOW = 32_768

_SHARD_SHUFFLE, _WINDOW_SHUFFLE = 0, 1  # Keep the two uses of (seed, epoch) apart.


class WindowOrder:
    """Graphs that give windows, for an epoch's and a window's number.

    Attributes:
        records: how they are read.
        window_bytes: of a whole window, as stored.
        most_windows: at least the number of windows in any epoch.

    Args:
        files: the split.
        seed: of the order.
        readers: shards read in parallel, at most as many as there are shards.
        shuffle_window: records shuffled together, fewer if they would take more than 64 MiB as they are
            stored; rounded down to a multiple of ``readers``.
    """

    def __init__(
        self, files: SplitFiles, seed: int, readers: int, shuffle_window: int = SHUFFLE_WINDOW
    ) -> None:
        self.records = records_of(files)
        window = min(shuffle_window, WINDOW_BYTES * files.num_sequences // files.num_bytes)
        self._per_reader = max(1, window // readers)
        self.window_bytes = self._per_reader * readers * files.num_bytes // files.num_sequences
        largest = sorted(files.counts, reverse=True)[: -(-len(files.counts) // readers)]
        self.most_windows = -(-sum(largest) // self._per_reader)
        # Others may read them too, from elsewhere.
        self._paths = tf.constant([absolute_path(path) for path in files.paths])
        self._counts = tf.constant(files.counts, tf.int64)
        self._seed = seed
        self._readers = readers

    def windows(self, epoch: tf.Tensor, first: tf.Tensor, most: int | None = None) -> tf.data.Dataset:
        """Windows of an epoch from number ``first`` on, ``most`` of them or all that there are.

        Returns:
            Chunks of `trainer.input.records.Records`, shuffled.
        """
        shards = self._order(epoch)
        end = self._num_windows(shards)
        if most is not None:
            end = tf.minimum(end, first + most)

        def share(reader: tf.Tensor) -> tf.data.Dataset:
            return self._reader(shards[reader :: self._readers], first * self._per_reader)

        def shuffle(index: tf.Tensor, parts: tf.RaggedTensor) -> tf.Tensor:
            return self._shuffled(parts.values, epoch, _WINDOW_SHUFFLE, index)

        # One graph for all readers: one for each would take a second to build.
        shares = tf.data.Dataset.range(self._readers).interleave(
            share, cycle_length=self._readers, num_parallel_calls=self._readers, deterministic=True
        )
        windows = shares.ragged_batch(self._readers)
        return tf.data.Dataset.zip((tf.data.Dataset.range(first, end), windows)).map(shuffle).prefetch(1)

    def num_windows(self, epoch: tf.Tensor) -> tf.Tensor:
        """How many windows an epoch has, int64."""
        return self._num_windows(self._order(epoch))

    def locate(self, epoch: tf.Tensor, passed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The window that holds an epoch's record number ``passed``, and the record's place within it."""
        shards = self._order(epoch)
        ends = tf.range(1, self._num_windows(shards) + 1) * self._per_reader
        through = tf.reduce_sum(tf.minimum(self._totals(shards)[None, :], ends[:, None]), axis=1)
        window = tf.searchsorted(through, [passed], side="right")[0]
        before = tf.where(window > 0, through[tf.maximum(window - 1, 0)], 0)
        return tf.cast(window, tf.int64), passed - before

    def _order(self, epoch: tf.Tensor) -> tf.Tensor:
        """The numbers of the shards in the epoch's order; number i goes to reader i modulo the readers."""
        return self._shuffled(tf.range(tf.size(self._paths)), epoch, _SHARD_SHUFFLE, 0)

    def _totals(self, shards: tf.Tensor) -> tf.Tensor:
        """How many records each reader has."""
        readers = tf.range(tf.size(shards)) % self._readers
        return tf.math.unsorted_segment_sum(tf.gather(self._counts, shards), readers, self._readers)

    def _num_windows(self, shards: tf.Tensor) -> tf.Tensor:
        return -(-tf.reduce_max(self._totals(shards)) // self._per_reader)

    def _reader(self, hand: tf.Tensor, passed: tf.Tensor) -> tf.data.Dataset:
        """One reader's share of every window; empty when its shards are read."""
        ends = tf.cumsum(tf.gather(self._counts, hand))
        whole = tf.searchsorted(ends, [passed], side="right")[0]
        inside = passed - tf.where(whole > 0, ends[tf.maximum(whole - 1, 0)], 0)
        left = hand[whole:]
        paths, counts = tf.gather(self._paths, left), tf.gather(self._counts, left)
        nothing = tf.data.Dataset.from_tensors(self.records.nothing).repeat()
        return self.records.chunks(paths, counts, inside, self._per_reader).concatenate(nothing)

    def _shuffled(self, values: tf.Tensor, epoch: tf.Tensor, use: int, index: tf.Tensor | int) -> tf.Tensor:
        """Values in an order drawn from (seed, epoch, use, index)."""
        mixed = tf.random.experimental.stateless_fold_in(
            tf.constant([self._seed % 2**63, use], tf.int64), epoch, alg="philox"
        )
        mixed = tf.random.experimental.stateless_fold_in(mixed, tf.cast(index, tf.int64), alg="philox")
        draws = tf.random.stateless_uniform(
            [tf.shape(values)[0]], mixed, minval=None, maxval=None, dtype=tf.int64, alg="philox"
        )
        return tf.gather(values, tf.argsort(draws, stable=True))
