"""Measures how long a training waits for its input."""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf


class InputClock:
    """Measures, inside tf.data, the time from a request for a batch to its arrival.

    The sum is a variable on the CPU, where tf.data runs; on a GPU each update would wait for two copies.

    Args:
        deterministic: use Python's clock, because ``tf.timestamp`` is not a deterministic operation.
    """

    def __init__(self, deterministic: bool = False) -> None:
        self._now = _python_timestamp if deterministic else tf.timestamp
        with tf.device("CPU:0"):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @property
    def seconds(self) -> float:
        """Seconds waited so far."""
        return float(self._seconds.numpy())

    def timed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Return the same batches, with each wait added to `seconds`."""
        # Zip pulls its inputs in order, so the first element holds the time of the request.
        requested = tf.data.Dataset.counter().map(lambda _: self._now())

        def add_wait(requested_at: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies(tf.nest.flatten(batch)):
                now = self._now()
            with tf.control_dependencies([self._seconds.assign_add(now - requested_at)]):
                return tf.nest.map_structure(tf.identity, batch)

        return tf.data.Dataset.zip((requested, batches)).map(add_wait)


def _python_timestamp() -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda: np.float64(time.time()), [], tf.float64), [])
