"""How long it takes from nothing to a model that gets no held-out sequence wrong.

Ours: `pipeline.generate`, `trainer.task`, `trainer.evaluate`, one after the other, imports and all. The
other: one script the tutorial way. Both train the same network with the same optimizer on as many
sequences of the same data set, and judge it on the same held-out sequences.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data import SEED
from benchmarks.jobs import call, command, generate, seconds_of, timed_output_of
from benchmarks.rows import Row
from pipeline.command_line.errors import WorkError

_BATCH_SIZE = 32


# What both sides have to do, at a whole and at a quick run.
_FULL = {"image_size": 24, "steps": 800, "learning_rate": 1e-3, "num_test": 5_000}
_QUICK = {"image_size": 12, "steps": 800, "learning_rate": 2e-3, "num_test": 300}


def measure(directory: Path, quick: bool) -> list[Row]:
    """One row; it says how many sequences the other side gets wrong.

    Raises:
        WorkError: if ours gets a sequence wrong.
    """
    task: dict[str, Any] = _QUICK if quick else _FULL
    ours = _ours(directory, **task)
    job = call("baselines.tutorial", "errors_from_nothing", tensorflow=True, seed=SEED, **task)
    seconds, answer = timed_output_of(job)
    return [
        Row(
            "zero-errors",
            f"from nothing to no error in {task['num_test']:,} held-out sequences of"
            f" {task['image_size']} frames, {task['steps']} steps, seconds",
            f"a script the tutorial way, as many steps; errors: {answer.splitlines()[-1]}",
            ((ours, seconds),),
            is_time=True,
            digits=1,
        )
    ]


def _ours(directory: Path, image_size: int, steps: int, learning_rate: float, num_test: int) -> float:
    """Seconds of the three programs together."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        data, model, metrics = (Path(scratch) / name for name in ("data", "run", "metrics.json"))
        sizes = {"num_validation": 200, "num_test": num_test, "image_size": image_size, "seed": SEED}
        training = {
            **{"epochs": 1, "steps_per_epoch": steps, "batch_size": _BATCH_SIZE},
            **{"learning_rate": learning_rate, "seed": SEED, "device": "cpu"},
        }
        jobs = (
            generate(data, steps * _BATCH_SIZE, **sizes),
            command("trainer.task", data_dir=data, model_dir=model, **training),
            command("trainer.evaluate", data_dir=data, model_dir=model, output=metrics),
        )
        seconds = sum(map(seconds_of, jobs))
        if errors := json.loads(metrics.read_text())["metrics"]["errors"]:
            raise WorkError(f"{errors} errors with seed {SEED}: train for more steps")
    return seconds
