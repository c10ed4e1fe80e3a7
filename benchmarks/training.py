"""Program: how fast the classifier is trained, beside the way tutorials train it.

Both in one process, in turn: the trainer's model, input pipeline and `fit` on a data set of paths, and the
same network in TimeDistributed layers, `fit` on arrays in memory (`benchmarks.tutorial`). Batch size,
optimizer and initial weights are the same. The first pass of each, which compiles, is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figures import Comparison, verdict
from benchmarks.jobs import data_set
from benchmarks.results_file import write_results
from pipeline.program import ArgumentParser, WorkError, positive_int, run

PROGRAM = "benchmarks.training"

_MIN_RATIO = 8
_AGREE_TO = 1e-5


def main(arguments: Sequence[str]) -> int:
    """Measure in turn, check that both compute the same, print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Compare training with the tutorial way: sequences a second.",
        f"python -m {PROGRAM} --output_dir /tmp/training",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for training.json and the data set, which stay")
    add("--rounds", type=positive_int, default=9, help="of both sides in turn")
    add("--batch_size", type=positive_int, default=32, help="sequences a step")
    add(
        "--steps",
        type=positive_int,
        default=600,
        help="steps a round; its input pipeline is made anew for each",
    )
    add(
        "--tutorial_steps",
        type=positive_int,
        default=15,
        help="steps a round of the tutorial's, which is slow",
    )
    add("--precision", default="float32", help="of ours; the tutorial's is float32")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="auto: a GPU where there is one")
    flags = parser.parse_args(arguments)
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    data_dir = data_set(directory, "path", 200_000)

    from trainer.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from benchmarks.trainers import Ours, Tutorial, largest_difference

    size = flags.batch_size
    ours = Ours(str(data_dir), size, flags.precision, flags.device)
    tutorial = Tutorial(ours, size, flags.tutorial_steps)
    difference = largest_difference(ours, tutorial)
    if flags.precision == "float32" and difference > _AGREE_TO:
        raise WorkError(f"the two models' answers differ by {difference}")
    for train, steps in ((ours.train, flags.steps), (tutorial.train, flags.tutorial_steps)):
        train(steps)
    rounds = [
        {
            "ours": _rate(ours.train, flags.steps, size),
            "tutorial": _rate(tutorial.train, flags.tutorial_steps, size),
            "input_wait": ours.input_wait,
        }
        for _ in range(flags.rounds)
    ]
    figures = {
        "unit": "sequences/s",
        "device": ours.device,
        "batch_size": size,
        "precision": flags.precision,
        "largest_difference_of_answers": difference,
        "rounds": rounds,
    }
    path = directory / "training.json"
    write_results(path, ("tensorflow", "keras", "numpy"), figures)
    found = Comparison.of([(each["ours"], each["tutorial"]) for each in rounds])
    print("| sequences/s | ours | tutorial | ratio | target |")
    print("|---|---:|---:|---:|---|")
    target = verdict(f"at least {_MIN_RATIO} times", found.ratio.median >= _MIN_RATIO)
    print(found.row(f"batch {size}, {flags.precision}, {ours.device}", 0, target))
    wait = max(each["input_wait"] for each in rounds)
    print(f"answers agree to {difference:.1e}; at most {wait:.1%} of our time waited for input; {path}")
    return 0


def _rate(train: Callable[[int], None], steps: int, batch_size: int) -> float:
    start = time.perf_counter()
    train(steps)
    return steps * batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    run(PROGRAM, main)
