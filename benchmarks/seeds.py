"""Program: how many held-out sequences the demo's training gets wrong, from several seeds.

Each seed makes its own data set, weights and order of the data. Results go to ``seeds.json`` in the output
directory; a rerun goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results_file import write_results
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.program import run

PROGRAM = "benchmarks.seeds"


def main(arguments: Sequence[str]) -> int:
    """Run the chain for every seed and print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Generate, train and evaluate from several seeds; print the errors on 10,000 held-out sequences.",
        f"python -m {PROGRAM} --output_dir /tmp/seeds --num_seeds 5",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="where data sets, runs and seeds.json go")
    add("--num_seeds", type=positive_int, default=5, help="seeds 0 .. num_seeds - 1")
    add("--epochs", type=positive_int, default=4, help="epochs of training")
    add("--steps_per_epoch", type=positive_int, default=200, help="batches an epoch")
    flags = parser.parse_args(arguments)

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.distributed.devices import choose_device

    device = choose_device("auto")
    results = []
    for seed in range(flags.num_seeds):
        results.append(_chain(Path(flags.output_dir), seed, flags.epochs, flags.steps_per_epoch, device))
    path = Path(flags.output_dir) / "seeds.json"
    modules = ("apache_beam", "keras", "numpy", "tensorflow")
    figures = {"device": device, "seeds": results}
    write_results(path, "make seeds", modules, figures)
    print(f"{table(figures)}\ntrained on {device}; {path}")
    return 0


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


def _chain(directory: Path, seed: int, epochs: int, steps: int, device: str) -> dict[str, float]:
    """One seed in, its row of the table out."""
    from pipeline.generate import generate
    from pipeline.moving_line.definition import MovingLine
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate_to_file
    from trainer.training.loop import train
    from trainer.training.settings import TrainingSettings

    directory.mkdir(parents=True, exist_ok=True)
    data, model = str(directory / f"data-{seed}"), str(directory / f"run-{seed}")
    generate(MovingLine(seed, 50, "path", 200_000, 5_000, 10_000), data)
    result = train(TrainingSettings(epochs=epochs, steps_per_epoch=steps, seed=seed), data, model)
    seconds = sum(float(row["seconds"]) for row in result.history)
    output = str(directory / f"metrics-{seed}.json")
    document = evaluate_to_file(EvaluationRequest(data, model), output, device=device).document
    return {
        "seed": seed,
        "errors": document["metrics"]["errors"],
        "num_sequences": document["dataset"]["num_sequences"],
        "loss": document["metrics"]["loss"],
        "step": document["model"]["step"],
        "training_seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    run(PROGRAM, main)
