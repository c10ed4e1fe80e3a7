"""The shortest way from files of paths to parsed batches, in file order, with nothing shuffled or checked."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def bare_batches(paths: Sequence[str], batch_size: int) -> tf.data.Dataset:
    """Batches of ``{"path": bytes, "label": int64}``, one pass over the files."""
    schema = {"path": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    batches = tf.data.TFRecordDataset(paths).batch(batch_size, drop_remainder=True)
    parsed = batches.map(lambda serialized: tf.io.parse_example(serialized, schema), tf.data.AUTOTUNE)
    return parsed.prefetch(tf.data.AUTOTUNE)
