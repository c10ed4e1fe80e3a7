"""Program: judge a trained model on held-out shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.program import ArgumentParser, path_text, positive_int, run
from pipeline.settings import SPLITS
from trainer.flags import add_on_corrupt

PROGRAM = "trainer.evaluate"


def main(arguments: Sequence[str]) -> int:
    """Parse, evaluate, print the metrics."""
    parser = ArgumentParser(
        PROGRAM,
        "Evaluate a trained model on every sequence of a split and write metrics.json.",
        f"python -m {PROGRAM} --data_dir /tmp/lines --split test --model_dir /tmp/run --output metrics.json",
    )
    add = parser.add_argument
    add("--data_dir", required=True, type=path_text, help="a data set made by pipeline.generate")
    add("--model_dir", required=True, type=path_text, help="the run directory of a finished training")
    add("--split", choices=SPLITS, default="test", help="which split")
    add("--output", type=path_text, default="metrics.json", help="where the metrics go")
    add("--batch_size", type=positive_int, default=128, help="sequences a batch")
    add(
        "--device",
        choices=("auto", "cpu", "gpu"),
        default="cpu",
        help="cpu leaves a GPU to the training that may hold it; auto: a GPU where there is one",
    )
    add_on_corrupt(parser)
    flags = parser.parse_args(arguments)

    from trainer.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.devices import choose_device
    from trainer.evaluation import evaluate

    device = choose_device(flags.device)
    document = evaluate(
        flags.data_dir,
        flags.split,
        flags.model_dir,
        flags.output,
        batch_size=flags.batch_size,
        device=device,
        on_corrupt=flags.on_corrupt,
    )
    print(summary(document))
    print(flags.output)
    return 0


def summary(document: dict[str, Any]) -> str:
    """The metrics, a line each, for people."""
    metrics, dataset, throughput = document["metrics"], document["dataset"], document["throughput"]
    low, high = metrics["accuracy_interval"]
    shown = ("loss", "precision", "recall", "f1", "roc_auc", "brier_score", "expected_calibration_error")
    lost = dataset["left_out"]["num_sequences"]
    lines = [
        f"{dataset['num_sequences']:,} sequences of split {dataset['split']}"
        f"{f' ({lost:,} damaged ones left out)' if lost else ''},"
        f" model after {document['model']['step']} steps",
        f"  {'accuracy':<27}{metrics['accuracy']:.6f}  (95 % interval {low:.6f} to {high:.6f})",
        f"  {'errors':<27}{metrics['errors']}",
    ]
    for name in shown:
        value = metrics[name]
        lines.append(f"  {name:<27}{'not defined' if value is None else format(value, '.6f')}")
    lines.append(f"  {'confusion matrix':<27}{metrics['confusion_matrix']}  (rows: left, right)")
    lines.append(
        f"  {'throughput':<27}{throughput['sequences_per_second']:,.0f} sequences/s on {throughput['device']}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    run(PROGRAM, main)
