"""What evaluations are measured on: a data set with a test split, and a run whose model judges it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.jobs import command, seconds_of


def data_set_to_judge(directory: Path, num_test: int) -> Path:
    """The directory of a data set with so many test sequences, made or found whole."""
    data = directory / f"data-{num_test}"
    splits = ("--num_train", 5_000, "--num_validation", 200, "--num_test", num_test)
    seconds_of(command("pipeline.generate", "--output_dir", data, *splits))
    return data


def run_to_judge(directory: Path, data: Path) -> Path:
    """The directory of a run of a few steps, made or found finished; how good it is does not matter."""
    run = directory / f"run-{data.name}"
    steps = ("--epochs", 1, "--steps_per_epoch", 20, "--device", "cpu")
    seconds_of(command("trainer.task", "--data_dir", data, "--model_dir", run, *steps))
    return run
