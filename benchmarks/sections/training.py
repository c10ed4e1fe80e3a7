"""How fast the classifier is trained, beside the way tutorials train it.

Both in one process, in turn: the trainer's model, input pipeline and `fit` on a data set of paths, and
the same network in TimeDistributed layers, `fit` on arrays in memory. Batch size, optimizer and initial
weights are the same; before the first step both must give the same answers. The first pass of each, which
compiles, is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.jobs import data_set
from benchmarks.rows import Row, Target
from benchmarks.trainers import Ours, Tutorial, largest_difference
from pipeline.program import WorkError

_BATCH_SIZE = 32
_STEPS, _TUTORIAL_STEPS, _ROUNDS = 600, 15, 7
_QUICK_STEPS, _QUICK_TUTORIAL_STEPS = 200, 5
_AGREE_TO = 1e-5


def measure(directory: Path, quick: bool) -> list[Row]:
    """One row.

    Raises:
        WorkError: if the two models do not give the same answers.
    """
    steps, tutorial_steps, rounds = _STEPS, _TUTORIAL_STEPS, _ROUNDS
    if quick:
        steps, tutorial_steps, rounds = _QUICK_STEPS, _QUICK_TUTORIAL_STEPS, 1
    ours = Ours(str(data_set(directory, "path", 200_000)), _BATCH_SIZE, "float32", "cpu")
    tutorial = Tutorial(ours, _BATCH_SIZE, tutorial_steps)
    if (difference := largest_difference(ours, tutorial)) > _AGREE_TO:
        raise WorkError(f"the two models' answers differ by {difference}")
    for train, count in ((ours.train, steps), (tutorial.train, tutorial_steps)):
        train(count)
    rates = tuple((_rate(ours.train, steps), _rate(tutorial.train, tutorial_steps)) for _ in range(rounds))
    return [
        Row(
            "train",
            f"train, batches of {_BATCH_SIZE}, float32, CPU, sequences/s",
            "the tutorial way: TimeDistributed layers, arrays in memory",
            rates,
            target=Target(8),
        )
    ]


def _rate(train: Callable[[int], None], steps: int) -> float:
    start = time.perf_counter()
    train(steps)
    return steps * _BATCH_SIZE / (time.perf_counter() - start)
