"""How long it takes from nothing to a model that gets no held-out sequence wrong.

Ours: `pipeline.generate`, `trainer.task`, `trainer.evaluate`, one after the other, imports and all. The
other: one script the tutorial way. Both train the same network with the same optimizer on as many
sequences of the same data set, and judge it on the same held-out sequences; every round has another seed,
for data and weights.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.jobs import call, command, generate, seconds_of, timed_output_of
from benchmarks.rows import Row
from pipeline.command_line.errors import WorkError

_BATCH_SIZE = 32


@dataclass(frozen=True)
class _Task:
    """What both sides have to do."""

    image_size: int
    steps: int
    learning_rate: float
    num_test: int
    rounds: int


_FULL = _Task(image_size=50, steps=800, learning_rate=5e-4, num_test=10_000, rounds=1)
_QUICK = _Task(image_size=20, steps=800, learning_rate=1e-3, num_test=2_000, rounds=1)


def measure(directory: Path, quick: bool) -> list[Row]:
    """One row; it says how many sequences the other side gets wrong.

    Raises:
        WorkError: if ours gets a sequence wrong.
    """
    task = _QUICK if quick else _FULL
    pairs = [(_ours(directory, task, seed), _tutorial(task, seed)) for seed in range(task.rounds)]
    errors = ", ".join(str(errors) for _, (_, errors) in pairs)
    return [
        Row(
            "zero-errors",
            f"from nothing to no error in {task.num_test:,} held-out sequences, {task.steps} steps, seconds",
            f"a script the tutorial way, as many steps; errors: {errors}",
            tuple((ours, seconds) for ours, (seconds, _) in pairs),
            is_time=True,
            digits=1,
        )
    ]


def _ours(directory: Path, task: _Task, seed: int) -> float:
    """Seconds of the three programs together."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        data, model, metrics = (Path(scratch) / name for name in ("data", "run", "metrics.json"))
        splits = {"num_validation": 200, "num_test": task.num_test}
        size = {"image_size": task.image_size, "seed": seed}
        steps = {"epochs": 1, "steps_per_epoch": task.steps, "batch_size": _BATCH_SIZE}
        rate = {"learning_rate": task.learning_rate, "seed": seed, "device": "cpu"}
        jobs = (
            generate(data, task.steps * _BATCH_SIZE, **splits, **size),
            command("trainer.task", data_dir=data, model_dir=model, **steps, **rate),
            command("trainer.evaluate", data_dir=data, model_dir=model, output=metrics),
        )
        seconds = sum(map(seconds_of, jobs))
        if errors := json.loads(metrics.read_text())["metrics"]["errors"]:
            raise WorkError(f"{errors} errors with seed {seed}: train for more steps")
    return seconds


def _tutorial(task: _Task, seed: int) -> tuple[float, int]:
    """Seconds of the script, and its errors."""
    asked = {**asdict(task), "seed": seed}
    del asked["rounds"]
    job = call("baselines.tutorial", "errors_from_nothing", tensorflow=True, **asked)
    seconds, answer = timed_output_of(job)
    return seconds, int(answer.splitlines()[-1])
