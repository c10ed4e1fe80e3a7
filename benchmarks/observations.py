"""Program: how well the classifier does where the first frame does not give the label away.

Trains and evaluates with lines and dots, with whole sequences and random windows of 10 frames, and with salt
and pepper. Results go to ``observations.json`` in the output directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results_file import write_results
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.program import run

PROGRAM = "benchmarks.observations"

_OBSERVATIONS: tuple[dict[str, Any], ...] = (
    {"window": 10},
    {"line": "dot", "window": 10},
    {"line": "dot", "window": 10, "noise": 0.001},
    {"line": "dot", "window": 10, "noise": 0.005},
    {"line": "dot", "window": 10, "noise": 0.02},
)


def main(arguments: Sequence[str]) -> int:
    """Run the chain for every observation and print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Train and evaluate on dots, windows and noise; print the accuracy on 10,000 held-out sequences.",
        f"python -m {PROGRAM} --output_dir /tmp/observations",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="where the data set, runs and observations.json go")
    add("--epochs", type=positive_int, default=8, help="epochs of training")
    add("--steps_per_epoch", type=positive_int, default=390, help="batches an epoch")
    add("--batch_size", type=positive_int, default=64, help="sequences a step")
    flags = parser.parse_args(arguments)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    results = [
        _chain(directory, number, observation, flags.epochs, flags.steps_per_epoch, flags.batch_size)
        for number, observation in enumerate(_OBSERVATIONS)
    ]
    path = directory / "observations.json"
    figures = {"observations": results}
    write_results(path, "make observations", ("tensorflow", "keras", "numpy"), figures)
    print(f"{table(figures)}\n{path}")
    return 0


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = ["| line | window | noise | accuracy | 95 % interval |", "|---|---:|---:|---:|---:|"]
    for row in figures["observations"]:
        low, high = row["accuracy_interval"]
        seen = f"{row['line']} | {row['window'] or 'all frames'} | {row['noise']}"
        lines.append(f"| {seen} | {row['accuracy']:.4f} | {low:.4f} to {high:.4f} |")
    return "\n".join(lines)


def _chain(
    directory: Path, number: int, observation: dict[str, Any], epochs: int, steps: int, batch_size: int
) -> dict[str, Any]:
    from pipeline.generate import generate
    from pipeline.moving_line.definition import MovingLine
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate_to_file
    from trainer.training.loop import train
    from trainer.training.settings import TrainingSettings

    data, model = str(directory / "data"), str(directory / f"run-{number}")
    generate(MovingLine(0, 50, "path", 200_000, 5_000, 10_000), data)
    settings = TrainingSettings(
        epochs=epochs,
        steps_per_epoch=steps,
        batch_size=batch_size,
        learning_rate=0.002,
        warmup_steps=100,
        **observation,
    )
    result = train(settings, data, model)
    output = str(directory / f"metrics-{number}.json")
    document = evaluate_to_file(EvaluationRequest(data, model), output).document
    metrics = document["metrics"]
    return {
        "line": settings.line,
        "window": settings.window,
        "noise": settings.noise,
        "sequences_trained_on": result.step * batch_size,
        "accuracy": metrics["accuracy"],
        "accuracy_interval": metrics["accuracy_interval"],
        "errors": metrics["errors"],
    }


if __name__ == "__main__":
    run(PROGRAM, main)
