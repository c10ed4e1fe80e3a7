"""Moving lines as a script without a pipeline makes them: one process, one sequence after the other.

Python's own random numbers, NumPy for the frames, ``tf.train.Example`` and ``tf.io.TFRecordWriter``. Its
sequences follow the definition but are others than ours, for its random numbers are.
"""

from __future__ import annotations

import random
import zlib

import numpy as np
import tensorflow as tf

from benchmarks.data import IMAGE_SIZE


def write(output: str, encoding: str, num_sequences: int) -> None:
    """Make one file of records, "path" or "frames"."""
    random.seed(0)
    with tf.io.TFRecordWriter(output) as writer:
        for _ in range(num_sequences):
            label = random.randrange(2)
            path = [random.randrange(IMAGE_SIZE)]
            for _ in range(IMAGE_SIZE - 1):
                row = path[-1]
                path.append(random.randrange(max(0, row - 1), min(IMAGE_SIZE, row + 2)))
            if encoding == "path":
                content = bytes(path)
            else:
                frames = np.zeros((IMAGE_SIZE, IMAGE_SIZE, IMAGE_SIZE, 1), np.uint8)
                for time, row in enumerate(path):
                    frames[time:, row, time if label else IMAGE_SIZE - 1 - time] = 1
                content = zlib.compress(frames.tobytes())
            features = {
                encoding: tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
