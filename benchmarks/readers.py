"""The readers that `benchmarks.reading` compares, each for one pass over the training split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from model.drawing import DrawLine
from trainer.datasets import SplitFiles, read_manifest, split_files
from trainer.input_pipeline import training_batches


def trainer_batches(data_dir: str, batch_size: int, readers: int, steps: int) -> tf.data.Dataset:
    """What the trainer reads: shuffled and parsed."""
    files = _train_files(data_dir)
    return training_batches(files, batch_size=batch_size, seed=0, readers=readers).take(steps)


def bare_batches(data_dir: str, batch_size: int, steps: int) -> tf.data.Dataset:
    """The shortest way from files to parsed batches, in file order."""
    schema = {"path": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    records = tf.data.TFRecordDataset(list(_train_files(data_dir).paths))
    batches = records.batch(batch_size, drop_remainder=True).map(
        lambda serialized: tf.io.parse_example(serialized, schema), tf.data.AUTOTUNE
    )
    return batches.prefetch(tf.data.AUTOTUNE).take(steps)


def drawn_batches(data_dir: str, batch_size: int, readers: int, steps: int) -> Iterator[Any]:
    """What the trainer reads, drawn by the model's layer: uint8 (batch, S, S, S, 1)."""
    for features, _ in trainer_batches(data_dir, batch_size, readers, steps):
        yield _draw(features["path"], features["label"])


def tfds_batches(data_dir: str, batch_size: int, steps: int) -> tf.data.Dataset:
    """What TFDS reads of the frames encoding: uint8 (batch, S, S, S, 1) and labels."""
    # Small data sets TFDS would cache by itself, which makes the first pass slower.
    config = tfds.ReadConfig(try_autocache=False)
    builder = tfds.builder_from_directory(data_dir)
    dataset = builder.as_dataset(split="train", shuffle_files=True, read_config=config)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE).take(steps)


_layer = DrawLine(dtype="uint8")


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def _draw(path: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    return _layer(path, label)


def _train_files(data_dir: str) -> SplitFiles:
    return split_files(data_dir, read_manifest(data_dir), "train")
