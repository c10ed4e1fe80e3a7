"""Runs on clips: programs that train and judge them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.jobs import command, seconds_of


def trained(data: Path, run: Path, *flags: object, **settings: object) -> float:
    """Train a run, or go on with it; seconds of the program."""
    return seconds_of(command("trainer.task", *flags, data_dir=data, model_dir=run, **settings))


def judged(data: Path, run: Path, *flags: object) -> tuple[dict[str, Any], float]:
    """Judge a run; what ``metrics.json`` says, and seconds of the program."""
    metrics = run.with_name(f"{run.name}-metrics.json")
    where = {"data_dir": data, "model_dir": run, "output": metrics}
    seconds = seconds_of(command("trainer.evaluate", *flags, **where))
    return json.loads(metrics.read_text()), seconds
