"""Clips to a TFRecord as a script without a pipeline makes it: ffmpeg for one clip after the other.

ffmpeg, which uses every core, picks, scales and compresses the frames; ``tf.io.TFRecordWriter`` stores them
with the clip's class as ``tf.train.Example``.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import imageio_ffmpeg
import tensorflow as tf

_WIDTH, _HEIGHT, _FPS = 300, 128, 8
# Scaled to cover the frame and cut in the middle, as `--fit crop` does.
_SCALE = f"scale={_WIDTH}:{_HEIGHT}:force_original_aspect_ratio=increase"
_FILTERS = f"fps={_FPS},{_SCALE},crop={_WIDTH}:{_HEIGHT}"


def convert(source: str, output: str) -> None:
    """Write one file of records from a folder of a folder a class."""
    Path(output).mkdir()
    classes = sorted(folder.name for folder in Path(source).iterdir())
    with tf.io.TFRecordWriter(f"{output}/train.tfrecord") as writer:
        for label, name in enumerate(classes):
            for path in sorted(Path(source, name).iterdir()):
                features = {
                    "video": tf.train.Feature(bytes_list=tf.train.BytesList(value=_frames(path))),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def _frames(path: Path) -> list[bytes]:
    """The frames of a clip, as JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        job = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vf", _FILTERS]
        subprocess.run([*job, "-q:v", "2", f"{folder}/%06d.jpg"], check=True, stdin=subprocess.DEVNULL)
        return [frame.read_bytes() for frame in sorted(Path(folder).iterdir())]
