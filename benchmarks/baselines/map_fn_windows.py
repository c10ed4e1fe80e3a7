"""Random windows of clips without TFDS' decoding: a loop decodes the window's frames alone."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds


def map_fn_windows(
    data_dir: str, num_frames: int, batch_size: int, shuffle_buffer: int, passes: int
) -> tf.data.Dataset:
    """As `benchmarks.baselines.tfds_windows.tfds_windows`; clips are shuffled before they are decoded."""
    builder = tfds.builder_from_directory(data_dir)
    shape = builder.info.features["video"].shape[1:]
    clips = builder.as_dataset(
        split="train",
        shuffle_files=True,
        read_config=tfds.ReadConfig(try_autocache=False),
        decoders={"video": tfds.decode.SkipDecoding()},
    )

    def window(example: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        images = example["video"]
        first = tf.random.uniform([], 0, tf.shape(images)[0] - num_frames + 1, tf.int32)
        frames = tf.map_fn(
            lambda image: tf.ensure_shape(tf.io.decode_jpeg(image, shape[2]), shape),
            images[first : first + num_frames],
            fn_output_signature=tf.TensorSpec(shape, tf.uint8),
        )
        return tf.ensure_shape(frames, [num_frames, *shape]), example["label"]

    windows = clips.repeat(passes).shuffle(shuffle_buffer).map(window, tf.data.AUTOTUNE)
    return windows.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
