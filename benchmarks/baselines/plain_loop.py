"""Program: moving lines as a script without a pipeline makes them: one process, one sequence after the other.

Python's own random numbers, NumPy for the frames, ``tf.train.Example`` and ``tf.io.TFRecordWriter``. Its
sequences follow the definition but are others than ours, for its random numbers are.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

import numpy as np

from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.program import run

PROGRAM = "benchmarks.baselines.plain_loop"

_SIZE = 50


def main(arguments: Sequence[str]) -> int:
    """Make one file of records."""
    parser = ArgumentParser(
        PROGRAM,
        "Write moving lines in a plain loop, for comparison.",
        f"python -m {PROGRAM} --output /tmp/lines.tfrecord --encoding path --num_sequences 10000",
    )
    add = parser.add_argument
    add("--output", required=True, help="the file to write")
    add("--encoding", choices=("path", "frames"), default="path", help="what a record holds")
    add("--num_sequences", type=positive_int, required=True, help="how many")
    flags = parser.parse_args(arguments)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    import tensorflow as tf

    random.seed(0)
    with tf.io.TFRecordWriter(flags.output) as writer:
        for _ in range(flags.num_sequences):
            label = random.randrange(2)
            path = [random.randrange(_SIZE)]
            for _ in range(_SIZE - 1):
                row = path[-1]
                path.append(random.randrange(max(0, row - 1), min(_SIZE, row + 2)))
            if flags.encoding == "path":
                content = bytes(path)
            else:
                frames = np.zeros((_SIZE, _SIZE, _SIZE, 1), np.uint8)
                for time, row in enumerate(path):
                    frames[time:, row, time if label else _SIZE - 1 - time] = 1
                content = zlib.compress(frames.tobytes())
            features = {
                flags.encoding: tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
