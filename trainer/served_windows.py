"""Windows that others read, in their order here.

What the readers send arrives in whatever order; each window carries its number. The trainer takes them in the
order of `trainer.window_order`, every window once. One that does not come (its reader died, or is slow) is
read here. So the batches are those of a training that reads everything itself, bit for bit, whatever happens
to the readers: they decide only who does the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.program import one_line
from trainer.window_order import WindowOrder

# A block is what is lost with a reader, and what other readers may be ahead by.
_BLOCK_BYTES = 32 * 2**20
# What may lie ready while the trainer waits for nothing.
_READY_BYTES = 64 * 2**20
# What may lie waiting for an earlier window; with more, the earlier one is read here.
_WAITING_BYTES = 512 * 2**20
_SECONDS_FOR_A_WINDOW = 10.0
_SECONDS_BETWEEN_TRIES = 10.0
_BLOCKS_BEHIND = 4
_MANY_BLOCKS = 2**62

Rows = npt.NDArray[Any]


class ServedWindows:
    """Windows in their order; what `trainer.input_pipeline.training_batches` takes as ``windows``.

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
        self._read_here = tf.function(
            lambda epoch, window: order.windows(epoch, window, 1).get_single_element()
        )
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._waiting: dict[int, Rows] = {}
        self._next = 0
        self._lost_block = -1
        self._answers = True
        self._is_awaited = self._closed = False

    def __call__(self, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """The windows of an epoch from number ``first`` on; epochs are asked for in their order."""
        nothing = self._order.kind.nothing
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
                yield self._read_here(tf.constant(epoch, tf.int64), tf.constant(window, tf.int64)).numpy()
            else:
                self.num_came += 1
                yield rows

    def _await(self, number: int) -> Rows | None:
        """A window by its number in the run; None if it is not worth waiting for."""
        with self._changed:
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

    def _comes(self, number: int) -> bool:
        """Wait for a window as long as that is worth it."""
        block = number // self._block_size
        deadline = time.monotonic() + (_SECONDS_FOR_A_WINDOW if self._answers else 0)
        while number not in self._waiting:
            if self._closed or block == self._lost_block or len(self._waiting) >= self._most_waiting:
                return False
            if (left := deadline - time.monotonic()) <= 0:
                if self._answers:
                    self._say(f"waited {_SECONDS_FOR_A_WINDOW:.0f} s for a window; reading here")
                # Its other windows went with it.
                self._lost_block, self._answers = block, False
                return False
            self._changed.wait(left)
        return True

    def _receive(self) -> None:
        while not self._closed:
            first = self._next // self._block_size
            try:
                for number, rows in self._distribute(self._blocks(first)):
                    if not self._take_in(int(number), rows.numpy()):
                        break
            except tf.errors.OpError as error:
                self._say(f"{one_line(error)[:200]}; reading here until it is back")
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, _SECONDS_BETWEEN_TRIES)

    def _take_in(self, number: int, rows: Rows) -> bool:
        """Keep a window that came; False if the readers had better start again further on."""
        with self._changed:
            self._answers = True
            if self._closed or number < self._next - _BLOCKS_BEHIND * self._block_size:
                return False
            if number >= self._next:
                self._waiting[number] = rows
                self._changed.notify_all()
            self._changed.wait_for(self._wants_more)
            return True

    def _wants_more(self) -> bool:
        is_missing = self._is_awaited and self._next not in self._waiting
        return self._closed or is_missing or len(self._waiting) < self._most_ready

    def _blocks(self, first: int) -> tf.data.Dataset:
        """Numbers and rows of all windows from a block on."""
        size = self._block_size

        def windows(block: tf.Tensor) -> tf.data.Dataset:
            epoch, within = block // self._blocks_per_epoch, block % self._blocks_per_epoch
            return self._order.windows(epoch, within * size, size).enumerate(block * size)

        return tf.data.Dataset.range(first, _MANY_BLOCKS).flat_map(windows)
