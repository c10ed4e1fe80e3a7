"""Data sets, runs and whole chains of programs that benchmarks measure, or measure on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.jobs import command, generate, seconds_of

SEED, IMAGE_SIZE = 0, 50


def data_set(directory: Path, encoding: str, num_sequences: int, image_size: int = IMAGE_SIZE) -> Path:
    """The directory of a data set, made or found whole."""
    of_size = "" if image_size == IMAGE_SIZE else f"-of-{image_size}"
    data = directory / f"{encoding}-{num_sequences}{of_size}"
    seconds_of(generate(data, num_sequences, encoding=encoding, image_size=image_size))
    return data


def data_set_to_judge(directory: Path, num_test: int) -> Path:
    """The directory of a data set with so many test sequences, made or found whole."""
    data = directory / f"data-{num_test}"
    seconds_of(generate(data, 5_000, num_validation=200, num_test=num_test))
    return data


def run_to_judge(directory: Path, data: Path) -> Path:
    """The directory of a run of a few steps, made or found finished; how good it is does not matter."""
    run = directory / f"run-{data.name}"
    steps = {"epochs": 1, "steps_per_epoch": 20, "device": "cpu"}
    seconds_of(command("trainer.task", data_dir=data, model_dir=run, **steps))
    return run


def chain(directory: Path, number: int, data_seed: int, **settings: Any) -> tuple[dict[str, Any], Any]:
    """Generate the demo's data set, train with settings and evaluate, in this process.

    What was done before is found in the directory, by the data set's seed and the run's number. Gives the
    evaluation's document, and the training's result.
    """
    from pipeline.generate import generate
    from pipeline.moving_line.definition import MovingLine
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate_to_file
    from trainer.training.loop import train
    from trainer.training.settings import TrainingSettings

    data, model = str(directory / f"data-{data_seed}"), str(directory / f"run-{number}")
    generate(MovingLine(seed=data_seed), data)
    result = train(TrainingSettings(**settings), data, model)
    output = str(directory / f"metrics-{number}.json")
    return evaluate_to_file(EvaluationRequest(data, model), output).document, result
