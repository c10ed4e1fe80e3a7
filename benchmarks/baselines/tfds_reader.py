"""Frames read by TFDS, as its guide reads a data set."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_datasets as tfds


def tfds_batches(data_dir: str, batch_size: int) -> tf.data.Dataset:
    """Batches of ``{"frames": uint8 (batch, S, S, S, 1), "label": int64 (batch,)}``, one pass."""
    # Small data sets TFDS would cache by itself, which makes the first pass slower.
    config = tfds.ReadConfig(try_autocache=False)
    dataset = tfds.builder_from_directory(data_dir).as_dataset(
        split="train", shuffle_files=True, read_config=config
    )
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
