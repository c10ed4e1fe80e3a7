"""How well the classifier does where the first frame does not give the label away.

Trains and evaluates with lines and dots, with whole sequences and random windows of 10 frames, and with salt
and pepper.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.data import chain

_OBSERVATIONS: tuple[dict[str, Any], ...] = (
    {"window": 10},
    {"line": "dot", "window": 10},
    {"line": "dot", "window": 10, "noise": 0.001},
    {"line": "dot", "window": 10, "noise": 0.005},
    {"line": "dot", "window": 10, "noise": 0.02},
)


def measure(directory: Path, *, epochs: int, steps_per_epoch: int, batch_size: int) -> dict[str, Any]:
    """The chain for every observation, on one data set."""
    found = []
    for number, observation in enumerate(_OBSERVATIONS):
        done = chain(
            directory,
            number,
            0,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            batch_size=batch_size,
            learning_rate=0.002,
            warmup_steps=100,
            **observation,
        )
        settings, metrics = done["settings"], done["document"]["metrics"]
        found.append(
            {
                **{name: getattr(settings, name) for name in ("line", "window", "noise")},
                "sequences_trained_on": done["result"].step * batch_size,
                **{name: metrics[name] for name in ("accuracy", "accuracy_interval", "errors")},
            }
        )
    return {"observations": found}


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = ["| line | window | noise | accuracy | 95 % interval |", "|---|---:|---:|---:|---:|"]
    for row in figures["observations"]:
        low, high = row["accuracy_interval"]
        seen = f"{row['line']} | {row['window'] or 'all frames'} | {row['noise']}"
        lines.append(f"| {seen} | {row['accuracy']:.4f} | {low:.4f} to {high:.4f} |")
    return "\n".join(lines)
