"""Program: what a data set of very many shards costs before its first sequence is read.

Two data sets of the same sequences, one in as many shards as it has sequences and one in the usual 16, are
opened, listed and read to an epoch's first batch, in turn, each time in a fresh process. The files are in the
page cache: a disk is not measured. The sequences are small, for what is measured is the number of shards.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.costs import seconds_without_imports
from benchmarks.jobs import command, output_of, seconds_of
from benchmarks.open_data import BATCH_SIZE, EPOCH, LIST, OPEN
from benchmarks.process_memory import HAS_PROC
from benchmarks.results_file import write_results
from benchmarks.spread import Spread
from pipeline.command_line.arguments import ArgumentParser, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.dataset.manifest import MANIFEST_NAME

PROGRAM = "benchmarks.many_shards"

_IMAGE_SIZE = 10
_HELD_OUT = 10  # Validation and test sequences each.
_FEWEST = 1_000  # Fewer shards are no more than what a split has anyway.
_MAX_SECONDS = 10
_MAX_BYTES = 2**30
_NAMES = {OPEN: "opening", LIST: "listing the directory", EPOCH: "starting an epoch"}

# What `benchmarks.open_data` prints, by what it did.
Figures = dict[str, dict[str, Any]]


def main(arguments: Sequence[str]) -> int:
    """Generate what is not there, measure in turn, print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure opening a data set of many shards and starting an epoch of it, beside 16 shards (Linux).",
        f"python -m {PROGRAM} --output_dir /tmp/many_shards",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for many_shards.json and the data sets, which stay")
    add("--num_shards", type=positive_int, default=100_000, help="training shards, of a sequence each")
    add("--rounds", type=positive_int, default=5, help="of both data sets in turn")
    add("--data_dir", type=path_text, help="where the many shards lie or go (default: in --output_dir)")
    flags = parser.parse_args(arguments)
    if not HAS_PROC:
        raise RequestError("memory is read from /proc, which this system does not have: run it on Linux")
    if flags.num_shards < _FEWEST:
        raise RequestError(f"--num_shards {flags.num_shards}: give at least {_FEWEST}")
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    many = Path(flags.data_dir or directory / f"shards-{flags.num_shards}")
    data_sets = {"few": directory / f"few-{flags.num_shards}", "many": many}
    made = {
        "few": _make(data_sets["few"], flags.num_shards),
        "many": _make(data_sets["many"], flags.num_shards, "--sequences_per_shard", 1),
    }
    for data in data_sets.values():  # Into the page cache.
        for file in data.iterdir():
            file.read_bytes()
    rounds = [{name: _measure(data) for name, data in data_sets.items()} for _ in range(flags.rounds)]
    figures = {
        "image_size": _IMAGE_SIZE,
        "num_sequences": flags.num_shards,
        "batch_size": BATCH_SIZE,
        "num_shards": {name: _num_shards(data) for name, data in data_sets.items()},
        "manifest_bytes": {name: (data / MANIFEST_NAME).stat().st_size for name, data in data_sets.items()},
        "generation_seconds": made,
        "rounds": rounds,
    }
    path = directory / "many_shards.json"
    write_results(path, "make scaling", ("apache_beam", "tensorflow", "numpy"), figures)
    print(table(figures))
    print(bound(figures))
    print(f"medians of {flags.rounds} rounds (lowest to highest); {path}")
    return 0


def _make(data: Path, num_train: int, *sharding: object) -> float | None:
    """Make a data set, or find it whole; seconds that it took, None if anything of it was there before."""
    is_new = not data.exists()
    splits = ("--num_train", num_train, "--num_validation", _HELD_OUT, "--num_test", _HELD_OUT)
    size = ("--image_size", _IMAGE_SIZE)
    seconds = seconds_of(command("pipeline.generate", "--output_dir", data, *splits, *size, *sharding))
    return seconds if is_new else None


def _num_shards(data: Path) -> dict[str, int]:
    """Shards of all splits together and of training."""
    splits = json.loads((data / MANIFEST_NAME).read_bytes())["splits"]
    return {
        "all": sum(len(split["shards"]) for split in splits.values()),
        "train": len(splits["train"]["shards"]),
    }


def _measure(data: Path) -> Figures:
    """What every step takes, each in a process of its own."""
    steps = {what: command("benchmarks.open_data", "--data_dir", data, "--what", what) for what in _NAMES}
    return {what: json.loads(output_of(job)) for what, job in steps.items()}


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    shards, made = figures["num_shards"], figures["generation_seconds"]
    titles = " | ".join(f"{count['train']:,} training shards" for count in shards.values())
    sizes = " | ".join(f"{size / 1e6:,.3f}" for size in figures["manifest_bytes"].values())
    lines = [f"| | {titles} |", "|---|---:|---:|", f"| manifest, MB | {sizes} |"]
    for what, name in _NAMES.items():
        lines += _rows(name, {of: [each[of][what] for each in figures["rounds"]] for of in shards})
    took = " | ".join("not measured" if took is None else f"{took:,.1f}" for took in made.values())
    lines.append(f"| generating, s | {took} |")
    if None not in made.values():
        more = shards["many"]["all"] - shards["few"]["all"]
        lines.append(f"| … a shard more, ms | | {1000 * (made['many'] - made['few']) / more:,.2f} |")
    return "\n".join(lines)


def _rows(name: str, steps: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The rows of a step: what it took in all rounds, by data set."""

    def row(title: str, figure: Callable[[dict[str, Any]], float], digits: int) -> str:
        cells = " | ".join(
            Spread.of([figure(each) for each in rounds]).text(digits) for rounds in steps.values()
        )
        return f"| {title} | {cells} |"

    parts = [part for part in steps["few"][0]["seconds"] if part != "imports"]
    return [
        row(f"{name}, s", seconds_without_imports, 3),
        *(row(f"… {part}", _part(part), 3) for part in (parts if len(parts) > 1 else ())),
        row("… with the imports", lambda step: sum(step["seconds"].values()), 3),
        row("… peak memory, MiB", lambda step: step["peak_bytes"] / 2**20, 0),
    ]


def _part(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda step: float(step["seconds"][name])


def bound(figures: dict[str, Any]) -> str:
    """Opening and starting an epoch of many shards, held against their bound."""
    rounds = figures["rounds"]
    steps = [[each["many"][what] for each in rounds] for what in (OPEN, EPOCH)]
    took = sum(statistics.median(seconds_without_imports(step) for step in of_one) for of_one in steps)
    peak = max(step["peak_bytes"] for of_one in steps for step in of_one)
    aim = f"{_MAX_SECONDS} s and 1 GiB, imports not counted"
    met = took <= _MAX_SECONDS and peak <= _MAX_BYTES
    return f"{took:.1f} s, {peak / 2**20:,.0f} MiB; at most {aim}: {'met' if met else 'missed'}"


if __name__ == "__main__":
    run(PROGRAM, main)
