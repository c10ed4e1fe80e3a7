"""How well the moving digits are told apart after the demo's training, from several seeds.

Each seed makes its own clips, weights and order of the data; a rerun goes on where it stopped. Beside the
accuracy on held-out clips stands that of the same model that is shown one frame all the time.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from benchmarks.clip_data import digits_data_set
from benchmarks.clip_runs import judged, trained

_TRAINING = {"batch_size": 64, "learning_rate": 0.002}


def measure(directory: Path, *, num_seeds: int, num_clips: int, epochs: int) -> dict[str, Any]:
    """Clips, data set, training and evaluation for seeds 0 .. num_seeds - 1."""
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(num_seeds):
        data = digits_data_set(directory, num_clips, seed, channels=1)
        run = directory / f"clips-run-{seed}"
        trained(data, run, epochs=epochs, seed=seed, **_TRAINING)
        document, _ = judged(data, run, "--single_frame")
        with (run / "history.csv").open() as stream:
            seconds = sum(float(row["seconds"]) for row in csv.DictReader(stream))
        found.append(
            {
                "seed": seed,
                "accuracy": document["metrics"]["accuracy"],
                "single_frame_accuracy": document["baselines"]["single_frame"]["accuracy"],
                "num_sequences": document["dataset"]["num_sequences"],
                "training_seconds": round(seconds, 1),
            }
        )
    return {"seeds": found}


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = [
        "| seed | held-out clips | accuracy | accuracy of one frame | training, seconds |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in figures["seeds"]:
        shares = f"{row['accuracy']:.2%} | {row['single_frame_accuracy']:.2%}"
        lines.append(f"| {row['seed']} | {row['num_sequences']:,} | {shares} | {row['training_seconds']} |")
    return "\n".join(lines)
