"""How fast the classifier is trained, beside the way tutorials train it.

All in one process, in turn: the trainer's model, input pipeline and `fit` on a data set of paths, and on
one of frames; and the same network in TimeDistributed layers, `fit` on arrays in memory. Batch size,
optimizer and initial weights are the same; before the first step both must give the same answers. The
first pass of each, which compiles, is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.data import data_set
from benchmarks.rows import Row, Target
from benchmarks.trainers import Ours, Tutorial, largest_difference
from pipeline.command_line.errors import WorkError

_BATCH_SIZE = 32
# Steps of ours and of the tutorial's, and rounds; sequences stored as paths and as frames.
_FULL, _QUICK = (300, 8, 3, 200_000, 10_000), (20, 3, 1, 20_000, 1_000)
_FRAMES_ARE_SLOWER = 4
_AGREE_TO = 1e-5


def measure(directory: Path, quick: bool) -> list[Row]:
    """A row of paths, whose frames need not be drawn, and one of frames, as any video has.

    Raises:
        WorkError: if the two models do not give the same answers.
    """
    steps, tutorial_steps, num_rounds, num_paths, num_frames = _QUICK if quick else _FULL
    ours, framed = (
        Ours(str(data_set(directory, encoding, count)), _BATCH_SIZE, "float32", "cpu")
        for encoding, count in (("path", num_paths), ("frames", num_frames))
    )
    tutorial = Tutorial(ours, _BATCH_SIZE, tutorial_steps)
    if (difference := largest_difference(ours, tutorial)) > _AGREE_TO:
        raise WorkError(f"the two models' answers differ by {difference}")
    frames_steps = max(1, steps // _FRAMES_ARE_SLOWER)
    sides = ((ours.train, steps), (framed.train, frames_steps), (tutorial.train, tutorial_steps))
    for train, count in sides:
        train(count)
    rounds = [[_rate(train, count) for train, count in sides] for _ in range(num_rounds)]
    other = "the tutorial way: TimeDistributed layers, arrays in memory"
    return [
        Row(
            key,
            f"train on {what}, batches of {_BATCH_SIZE}, float32, CPU, sequences/s",
            other,
            tuple((each[side], each[2]) for each in rounds),
            target=Target(8),
        )
        for key, what, side in (
            ("train-frames", "stored frames", 1),
            ("train", "paths, by an insight about lines", 0),
        )
    ]


def _rate(train: Callable[[int], None], steps: int) -> float:
    start = time.perf_counter()
    train(steps)
    return steps * _BATCH_SIZE / (time.perf_counter() - start)
