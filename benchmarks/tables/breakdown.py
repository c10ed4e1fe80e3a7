"""Where the time of every stage goes on one core, and how far that is from what the core can do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.breakdowns import Breakdown
from benchmarks.jobs import one_core
from benchmarks.limits import Limits, measure_limits


def measure(directory: Path, *, num_train: int, num_read: int, num_judged: int) -> dict[str, Any]:
    """The core's limits, and every stage on so many sequences."""
    with one_core():  # From before TensorFlow counts the cores.
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
        from benchmarks.breakdowns import evaluation, generation, reading, training

        limits = measure_limits()
        stages = [
            generation.measure(directory, limits, num_train),
            reading.measure(directory, limits, num_read),
            training.measure(directory, limits),
            evaluation.measure(directory, limits, num_judged),
        ]
    return {"limits": asdict(limits), "stages": [asdict(stage) for stage in stages]}


def table(figures: dict[str, Any]) -> str:
    """All tables."""
    tables = [Breakdown(**stage).table() for stage in figures["stages"]]
    return "\n\n".join([limits_table(figures), *tables])


def limits_table(figures: dict[str, Any]) -> str:
    """The limits in markdown."""
    return Limits(**figures["limits"]).table()


def stage_table(figures: dict[str, Any], stage: str) -> str:
    """A stage's parts in markdown; the stage by the beginning of its name."""
    found = next(each for each in figures["stages"] if each["stage"].startswith(stage))
    return Breakdown(**found).table()
