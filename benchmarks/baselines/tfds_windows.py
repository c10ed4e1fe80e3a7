"""Random windows of clips read by TFDS, which decodes every frame of a record first."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds


def tfds_windows(
    data_dir: str, num_frames: int, batch_size: int, shuffle_buffer: int, passes: int
) -> tf.data.Dataset:
    """Batches (frames uint8 (batch, num_frames, H, W, C), labels int64 (batch,)), some passes.

    Clips must have ``num_frames`` frames at least.
    """
    # Small data sets TFDS would cache by itself, which makes the first pass slower.
    config = tfds.ReadConfig(try_autocache=False)
    clips = tfds.builder_from_directory(data_dir).as_dataset(
        split="train", shuffle_files=True, read_config=config
    )

    def window(example: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        video = example["video"]
        first = tf.random.uniform([], 0, tf.shape(video)[0] - num_frames + 1, tf.int32)
        return tf.ensure_shape(video[first : first + num_frames], [num_frames, *video.shape[1:]]), example[
            "label"
        ]

    windows = clips.repeat(passes).map(window, tf.data.AUTOTUNE).shuffle(shuffle_buffer)
    return windows.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
