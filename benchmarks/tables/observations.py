"""How well the classifier does where the first frame does not give the label away.

Trains and evaluates with lines and dots, with whole sequences and random windows of 10 frames, and with salt
and pepper.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.data import chain

# Lines and noise that windows of 10 frames are taken of.
_OBSERVATIONS = (("line", 0.0), ("dot", 0.0), ("dot", 0.001), ("dot", 0.005), ("dot", 0.02))


def measure(directory: Path, *, epochs: int, steps_per_epoch: int, batch_size: int) -> dict[str, Any]:
    """The chain for every observation, on one data set."""
    found = []
    size = {"epochs": epochs, "steps_per_epoch": steps_per_epoch, "batch_size": batch_size}
    rate = {"learning_rate": 0.002, "warmup_steps": min(100, epochs * steps_per_epoch // 2)}
    for number, (line, noise) in enumerate(_OBSERVATIONS):
        seen = {"line": line, "window": 10, "noise": noise}
        document, result = chain(directory, number, 0, **size, **rate, **seen)
        judged = {name: document["metrics"][name] for name in ("accuracy", "accuracy_interval", "errors")}
        found.append({**seen, "sequences_trained_on": result.step * batch_size, **judged})
    return {"observations": found}


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = ["| line | window | noise | accuracy | 95 % interval |", "|---|---:|---:|---:|---:|"]
    for row in figures["observations"]:
        low, high = row["accuracy_interval"]
        seen = f"{row['line']} | {row['window'] or 'all frames'} | {row['noise']}"
        lines.append(f"| {seen} | {row['accuracy']:.4f} | {low:.4f} to {high:.4f} |")
    return "\n".join(lines)
