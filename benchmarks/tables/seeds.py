"""How many held-out sequences the demo's training gets wrong, from several seeds.

Each seed makes its own data set, weights and order of the data; a rerun goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.data import chain


def measure(directory: Path, *, num_seeds: int, epochs: int, steps_per_epoch: int) -> dict[str, Any]:
    """The chain for seeds 0 .. num_seeds - 1."""
    from trainer.distributed.devices import choose_device

    found = []
    for seed in range(num_seeds):
        asked = {"epochs": epochs, "steps_per_epoch": steps_per_epoch, "seed": seed}
        document, result = chain(directory, seed, seed, **asked)
        seconds = sum(float(row["seconds"]) for row in result.history)
        found.append(
            {
                "seed": seed,
                "errors": document["metrics"]["errors"],
                "num_sequences": document["dataset"]["num_sequences"],
                "loss": document["metrics"]["loss"],
                "step": document["model"]["step"],
                "training_seconds": round(seconds, 1),
            }
        )
    return {"device": choose_device("auto"), "seeds": found}


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = [
        "| seed | errors of 10,000 | loss | kept after step | training, seconds |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in figures["seeds"]:
        seconds = row["training_seconds"]
        lines.append(f"| {row['seed']} | {row['errors']} | {row['loss']:.6f} | {row['step']} | {seconds} |")
    return "\n".join(lines)
