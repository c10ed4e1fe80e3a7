"""How long a training waits for its input."""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf


class InputClock:
    """Measures, inside tf.data, the time from a request for a batch to its arrival.

    Where only deterministic operations may run, TensorFlow's clock may not, and Python's is asked. The sum is
    kept on the CPU, where tf.data runs: on a GPU every batch would wait for a way there and back.
    """

    def __init__(self, deterministic: bool = False) -> None:
        self._now = _slow_timestamp if deterministic else tf.timestamp
        with tf.device("CPU:0"):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @property
    def seconds(self) -> float:
        """Seconds waited so far."""
        return float(self._seconds.numpy())

    def timed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches."""
        # What is zipped is asked one after the other, so that the first tells when the request came.
        asked = tf.data.Dataset.counter().map(lambda _: self._now())

        def arrived(asked_at: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies(tf.nest.flatten(batch)):
                now = self._now()
            with tf.control_dependencies([self._seconds.assign_add(now - asked_at)]):
                return tf.nest.map_structure(tf.identity, batch)

        return tf.data.Dataset.zip((asked, batches)).map(arrived)


def _slow_timestamp() -> tf.Tensor:
    return tf.ensure_shape(tf.numpy_function(lambda: np.float64(time.time()), [], tf.float64), [])
