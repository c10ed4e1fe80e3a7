"""Program: how much memory generating, verifying and reading take, and whether more sequences take more.

Each job is measured with all its processes, at two sizes in turn, on data sets of paths.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Spread, verdict
from benchmarks.jobs import command
from benchmarks.process_memory import HAS_PROC, MEASURE, peak_memory
from benchmarks.results_file import write_results
from pipeline.program import ArgumentParser, RequestError, positive_int, run

PROGRAM = "benchmarks.memory"

_MAX_GROWTH_PERCENT = 10


def main(arguments: Sequence[str]) -> int:
    """Measure both sizes in turn, print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure the peak memory of generating, verifying and reading at two sizes (Linux).",
        f"python -m {PROGRAM} --output_dir /tmp/memory",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for memory.json, and for the data sets while they are measured")
    add("--rounds", type=positive_int, default=2, help="of both sizes in turn")
    add("--few", type=positive_int, default=1_000_000, help="sequences of the smaller data set")
    add("--many", type=positive_int, default=10_000_000, help="sequences of the larger data set")
    flags = parser.parse_args(arguments)
    if not HAS_PROC:
        raise RequestError("memory is read from /proc, which this system does not have: run it on Linux")
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    sizes = (flags.few, flags.many)
    rounds = [{size: _measure(directory, size) for size in sizes} for _ in range(flags.rounds)]
    path = directory / "memory.json"
    modules = ("apache_beam", "tensorflow", "numpy")
    write_results(path, modules, {"measure": MEASURE, "unit": "bytes", "rounds": rounds})
    print(
        f"| peak {MEASURE}, MiB | {flags.few:,} sequences | {flags.many:,} sequences | growth, % | target |"
    )
    print("|---|---:|---:|---:|---|")
    for job in rounds[0][flags.few]:
        few, many = ([each[size][job] for each in rounds] for size in sizes)
        growth = Spread.of([100 * (after / before - 1) for before, after in zip(few, many, strict=True)])
        target = verdict(f"at most {_MAX_GROWTH_PERCENT} %", growth.median <= _MAX_GROWTH_PERCENT)
        print(f"| {job} | {_mebibytes(few)} | {_mebibytes(many)} | {growth.text(1)} | {target} |")
    print(f"medians of {flags.rounds} rounds (lowest to highest); {path}")
    return 0


def _measure(directory: Path, num_sequences: int) -> dict[str, int]:
    """Peak bytes of every job on a data set of so many sequences."""
    splits = ("--num_train", num_sequences, "--num_validation", 1, "--num_test", 1)
    with tempfile.TemporaryDirectory(dir=directory) as data:
        jobs = {
            "generating": command("pipeline.generate", "--output_dir", data, *splits),
            "verifying": command("pipeline.verify", data),
            "reading an epoch": command("benchmarks.read_epoch", "--data_dir", data),
        }
        return {name: peak_memory(job) for name, job in jobs.items()}


def _mebibytes(values: Sequence[int]) -> str:
    return Spread.of([value / 2**20 for value in values]).text(0)


if __name__ == "__main__":
    run(PROGRAM, main)
