"""How long a training waits for its input."""

from __future__ import annotations

import tensorflow as tf


class InputClock:
    """Measures, inside tf.data, the time from a request for a batch to its arrival."""

    def __init__(self) -> None:
        self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @property
    def seconds(self) -> float:
        """Seconds waited so far."""
        return float(self._seconds.numpy())

    def timed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches."""
        # What is zipped is asked one after the other, so that the first tells when the request came.
        asked = tf.data.Dataset.counter().map(lambda _: tf.timestamp())

        def arrived(asked_at: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies(tf.nest.flatten(batch)):
                now = tf.timestamp()
            with tf.control_dependencies([self._seconds.assign_add(now - asked_at)]):
                return tf.nest.map_structure(tf.identity, batch)

        return tf.data.Dataset.zip((asked, batches)).map(arrived)
