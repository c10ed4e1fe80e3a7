"""Program: how long a training that is taken up waits for its first batch, by how much lies before it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import data_set
from benchmarks.results_file import write_results
from benchmarks.spread import Spread
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.program import run

PROGRAM = "benchmarks.resuming"

_BATCH_SIZE = 256
_READERS = 16
_MILLION = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure the seconds to the first batch after so many sequences passed.",
        f"python -m {PROGRAM} --output_dir /tmp/resuming",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for resuming.json and the data set, which stay")
    add("--rounds", type=positive_int, default=5, help="of all cases in turn")
    add("--num_path", type=positive_int, default=6_000_000, help="sequences of the data set")
    flags = parser.parse_args(arguments)
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    data_dir = str(data_set(directory, "path", flags.num_path))

    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.input.feeds import Part, training_part
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.settings import TrainingSettings

    files = split_files(data_dir, read_manifest(data_dir), "train")
    settings = TrainingSettings(batch_size=_BATCH_SIZE)

    def seconds_to_first_batch(passed: int) -> float:
        start = time.perf_counter()
        next(iter(training_part(files, settings, _READERS, passed // _BATCH_SIZE, Part(0, 1))))
        return time.perf_counter() - start

    # Within the first pass over the data, and many passes later.
    cases = (0, _MILLION, 5 * _MILLION, 1000 * _MILLION + 3 * _MILLION)
    seconds_to_first_batch(0)
    rounds = [{str(case): seconds_to_first_batch(case) for case in cases} for _ in range(flags.rounds)]
    path = directory / "resuming.json"
    figures = {"unit": "seconds", "rounds": rounds}
    write_results(path, "make scaling", ("tensorflow", "numpy"), figures)
    print(f"{table(figures)}\n{path}")
    return 0


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = ["| sequences passed | seconds to the first batch |", "|---:|---:|"]
    rounds = figures["rounds"]
    for case in rounds[0]:
        lines.append(f"| {int(case):,} | {Spread.of([each[case] for each in rounds]).text(2)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(PROGRAM, main)
