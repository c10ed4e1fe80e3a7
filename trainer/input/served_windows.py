"""Windows that others read, in their order here.

What the readers send arrives in whatever order; each window carries its number. The trainer takes them in the
order of `trainer.input.shuffle_order`, every window once. One that does not come (its reader died, or is
slow) is read here. So the batches are those of a training that reads everything itself, bit for bit, whatever
happens to the readers: they decide only who does the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import one_line
from trainer.input.shuffle_order import WindowOrder

# A block is what is lost with a reader, and what other readers may be ahead by.
_BLOCK_BYTES = 32 * 2**20
# What may lie ready while the trainer waits for nothing.
_READY_BYTES = 16 * 2**20
# What may lie waiting for an earlier window; with more, the earlier one is read here.
_WAITING_BYTES = 512 * 2**20
_SECONDS_FOR_A_WINDOW = 10.0
_SECONDS_BETWEEN_TRIES = 10.0
_BLOCKS_BEHIND = 4
_MANY_BLOCKS = 2**62

Rows = npt.NDArray[Any]


class ServedWindows:
    """Windows in their order; what `trainer.input.batches.training_batches` takes as ``windows``.

    Args:
        order: of the windows.
        distribute: turns a data set of **blocks**, runs of windows that one reader shall read, into one that
            others read, in any order, each block at most once.
        say: takes a line for people.

    Attributes:
        num_came: windows taken that others have read.
        num_read_here: windows that were not waited for any longer.
    """

    def __init__(
        self,
        order: WindowOrder,
        distribute: Callable[[tf.data.Dataset], tf.data.Dataset],
        say: Callable[[str], None],
    ) -> None:
        self.num_came = self.num_read_here = 0
        self._order, self._distribute, self._say = order, distribute, say
        self._block_size = max(1, _BLOCK_BYTES // order.window_bytes)
        self._blocks_per_epoch = -(-order.most_windows // self._block_size)
        self._most_ready = max(1, _READY_BYTES // order.window_bytes)
        self._most_waiting = max(2 * self._block_size, _WAITING_BYTES // order.window_bytes)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting: dict[int, Rows] = {}
        self._next = -1
        self._lost_block = -1
        self._here: tuple[int, int, Iterator[tf.Tensor]] | None = None
        self._answers = True
        self._has_complained = False
        self._is_awaited = self._restarts = self._closed = False

    def __call__(self, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """The windows of an epoch from number ``first`` on.

        Epochs are asked for in their order; whoever goes back, as Keras on JAX does once, waits anew.
        """
        nothing = self._order.records.nothing
        spec = tf.TensorSpec([None, *nothing.shape[1:]], nothing.dtype)
        return tf.data.Dataset.from_generator(self._epoch, args=(epoch, first), output_signature=spec)

    def close(self) -> None:
        """Wait for nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _epoch(self, epoch: np.int64, first: np.int64) -> Iterator[Rows]:
        for window in range(first, int(self._order.num_windows(tf.constant(epoch, tf.int64)))):
            rows = self._await(int(epoch) * self._blocks_per_epoch * self._block_size + window)
            if rows is None:
                self.num_read_here += 1
                yield self._read(int(epoch), window)
            else:
                self.num_came += 1
                self._here = None
                yield rows

    def _read(self, epoch: int, window: int) -> Rows:
        """A window, read here; one after the other they are read without passing over the shards again."""
        if self._here is None or self._here[:2] != (epoch, window):
            read = self._order.windows(tf.constant(epoch, tf.int64), tf.constant(window, tf.int64))
            self._here = (epoch, window, iter(read))
        windows = self._here[2]
        self._here = (epoch, window + 1, windows)
        rows: Rows = next(windows).numpy()
        return rows

    def _await(self, number: int) -> Rows | None:
        """A window by its number in the run; None if it is not worth waiting for."""
        with self._changed:
            if number <= self._next:
                self._restarts, self._lost_block = True, -1
            self._next = number
            for passed in [waiting for waiting in self._waiting if waiting < number]:
                del self._waiting[passed]
            if self._thread is None:
                self._thread = threading.Thread(target=self._receive, daemon=True)
                self._thread.start()
            self._is_awaited = True
            self._changed.notify_all()
            try:
                return self._waiting.pop(number) if self._comes(number) else None
            finally:
                self._is_awaited = False
                self._changed.notify_all()

    def _comes(self, number: int) -> bool:
        """Wait for a window as long as that is worth it."""
        block = number // self._block_size
        deadline = time.monotonic() + (_SECONDS_FOR_A_WINDOW if self._answers else 0)
        while number not in self._waiting:
            if self._closed or block == self._lost_block or len(self._waiting) >= self._most_waiting:
                return False
            if (left := deadline - time.monotonic()) <= 0:
                self._complain(f"waited {_SECONDS_FOR_A_WINDOW:.0f} s for a window; reading here")
                # Its other windows went with it.
                self._lost_block, self._answers = block, False
                return False
            self._changed.wait(left)
        return True

    def _receive(self) -> None:
        while not self._closed:
            with self._changed:
                first, self._restarts = self._next // self._block_size, False
            try:
                if not all(
                    self._take_in(int(number), rows.numpy())
                    for number, rows in self._distribute(self._blocks(first))
                ):
                    continue
            except Exception as error:  # TensorFlow raises what it likes; the trainer manages without.
                self._complain(f"{one_line(error)[:200]}; reading here until it is back")
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _SECONDS_BETWEEN_TRIES)

    def _take_in(self, number: int, rows: Rows) -> bool:
        """Keep a window that came; False if the readers had better start again elsewhere."""
        with self._changed:
            is_behind = number < self._next - _BLOCKS_BEHIND * self._block_size
            # Those that start again are worth waiting for.
            self._answers |= is_behind or number >= self._next
            if self._closed or self._restarts or is_behind:
                return False
            if number >= self._next:
                self._has_complained = False
                self._waiting[number] = rows
                self._changed.notify_all()
            self._changed.wait_for(self._wants_more)
            return not self._restarts

    def _complain(self, text: str) -> None:
        """Say what is wrong, once until it is right again."""
        if not self._has_complained:
            self._has_complained = True
            self._say(text)

    def _wants_more(self) -> bool:
        is_missing = self._is_awaited and self._next not in self._waiting
        return self._closed or self._restarts or is_missing or len(self._waiting) < self._most_ready

    def _blocks(self, first: int) -> tf.data.Dataset:
        """Numbers and rows of all windows from a block on."""
        size = self._block_size

        def windows(block: tf.Tensor) -> tf.data.Dataset:
            epoch, within = block // self._blocks_per_epoch, block % self._blocks_per_epoch
            return self._order.windows(epoch, within * size, size).enumerate(block * size)

        return tf.data.Dataset.range(first, _MANY_BLOCKS).flat_map(windows)
