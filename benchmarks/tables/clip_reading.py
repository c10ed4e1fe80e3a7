"""How fast random windows of 16 frames are read from a data set of clips, beside TFDS on the same shards.

In one process, in turn: the trainer's shuffled batches of decoded windows; TFDS, which decodes whole clips
before a window is taken; and TFDS without its decoding, with a loop over the window's frames only. A few
batches of each come first. The clips of 16 frames, each a whole window, show that all read the same frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.baselines.map_fn_windows import map_fn_windows
from benchmarks.baselines.tfds_windows import tfds_windows
from benchmarks.clip_data import LONG_FRAMES, LONG_SIZE, digits_data_set, long_data_set
from benchmarks.rows import Row, Target
from benchmarks.trainers import READERS, train_files
from pipeline.command_line.errors import WorkError
from trainer.input.feeds import Part, training_part
from trainer.input.frame_view import FrameView
from trainer.training.settings import TrainingSettings

_WINDOW, _BATCH_SIZE = 16, 32
# Decoded windows that TFDS shuffles: 200 MB of the larger frames.
_SHUFFLE_BUFFER = 256
_ROUNDS = 2
# Clips of digits and long ones, of which four fifths are for training; and passes over each.
_FULL, _QUICK = ((1_000, 256), (12, 16)), ((200, 40), (4, 4))
# Between means of a clip's pixels, of 255: TensorFlow's default decodes JPEG less exactly, and darker.
_AGREE_TO = 2.0

# Makes batches anew for so many passes.
Batches = Callable[[int], tf.data.Dataset]


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of long clips and of short ones.

    Raises:
        WorkError: if the sides do not read the same clips.
    """
    (num_digits, num_long), (digits_passes, long_passes) = _QUICK if quick else _FULL
    rounds = 1 if quick else _ROUNDS
    digits = _sides(digits_data_set(directory, num_digits), num_digits * 4 // 5)
    long = _sides(long_data_set(directory, num_long), num_long * 4 // 5)
    _check(digits)
    what_long = (
        f"random windows of {_WINDOW} frames, decoded, of clips of {LONG_FRAMES}, {LONG_SIZE}x{LONG_SIZE}"
    )
    what_digits = f"clips of {_WINDOW} frames, decoded, 64x64"
    rows = []
    for key, what, sides, other, passes, target in (
        ("read-windows-tfds", what_long, long, "tfds", long_passes, Target(2)),
        ("read-windows-map-fn", what_long, long, "map_fn", long_passes, Target(1.5)),
        ("read-clips-map-fn", what_digits, digits, "map_fn", digits_passes, Target(1.5)),
    ):
        measured = _measure(sides["ours"], sides[other], passes, rounds)
        rows.append(Row(key, f"read {what}, clips/s", _OTHERS[other], measured, target=target))
    return rows


_OTHERS = {
    "tfds": "TFDS, which decodes whole clips, `map`, `shuffle`, `batch`",
    "map_fn": "TFDS with `SkipDecoding`, `tf.map_fn` over the window's frames",
}


def _sides(data: Path, num_clips: int) -> dict[str, Batches]:
    files = train_files(str(data)).shown(FrameView(_WINDOW, is_random=True))
    if files.num_sequences != num_clips:
        raise WorkError(f"{data}: {files.num_sequences} clips for training, expected {num_clips}")
    settings = TrainingSettings(batch_size=_BATCH_SIZE, num_frames=_WINDOW)
    readers = min(READERS, len(files.paths))
    steps = num_clips // _BATCH_SIZE

    def ours(passes: int) -> tf.data.Dataset:
        return training_part(files, settings, readers, 0, Part(0, 1)).take(passes * steps)

    given = (str(data), _WINDOW, _BATCH_SIZE, _SHUFFLE_BUFFER)
    return {
        "ours": ours,
        "tfds": lambda passes: tfds_windows(*given, passes),
        "map_fn": lambda passes: map_fn_windows(*given, passes),
    }


def _measure(ours: Batches, other: Batches, passes: int, rounds: int) -> tuple[tuple[float, float], ...]:
    """Clips a second of both, in turn, after a batch of each."""
    for batches in (ours, other):
        next(iter(batches(1)))
    return tuple((_rate(ours, passes), _rate(other, passes)) for _ in range(rounds))


def _rate(batches: Batches, passes: int) -> float:
    start = time.perf_counter()
    count = sum(1 for _ in batches(passes))
    return count * _BATCH_SIZE / (time.perf_counter() - start)


def _check(sides: dict[str, Batches]) -> None:
    """See that one pass gives every side the same labels with clips of the same brightness."""
    found = {name: _summary(batches(1)) for name, batches in sides.items()}
    labels, means = found["ours"]
    for name, (other_labels, other_means) in found.items():
        if not np.array_equal(other_labels, labels) or np.abs(other_means - means).max() > _AGREE_TO:
            raise WorkError(f"{name} reads other clips than the trainer")


def _summary(batches: tf.data.Dataset) -> tuple[Any, Any]:
    """Labels, int (n,), and means of the clips' pixels, float (n,), sorted by both."""
    labels, means = [], []
    for features, batch_labels in batches.as_numpy_iterator():
        frames = features["frames"] if isinstance(features, dict) else features
        labels.append(batch_labels.ravel().astype(int))
        means.append(frames.reshape(len(frames), -1).mean(axis=1))
    label, mean = np.concatenate(labels), np.concatenate(means)
    order = np.lexsort((mean, label))
    return label[order], mean[order]
