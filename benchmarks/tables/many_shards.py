"""What a data set of very many shards costs before its first sequence is read.

Two data sets of the same sequences, one in as many shards as it has sequences and one in the usual 16, are
opened, listed and read to an epoch's first batch, in turn, each time in a fresh process. The files are in the
page cache: a disk is not measured. The sequences are small, for what is measured is the number of shards.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.costs import seconds_without_imports
from benchmarks.jobs import call, generate, result_of, seconds_of
from benchmarks.open_data import BATCH_SIZE
from benchmarks.rows import Spread
from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import MANIFEST_NAME

_IMAGE_SIZE = 10
_HELD_OUT = 10  # Validation and test sequences each.
_FEWEST = 1_000  # Fewer shards are no more than what a split has anyway.
_MAX_SECONDS = 10
_MAX_BYTES = 2**30
# Steps: their function in `benchmarks.open_data`, and their name in the table.
_STEPS = {
    "open": ("open_dataset", "opening"),
    "list": ("list_directory", "listing the directory"),
    "epoch": ("start_epoch", "starting an epoch"),
}


def measure(directory: Path, *, rounds: int, num_shards: int) -> dict[str, Any]:
    """Both data sets in turn, one with so many training shards of a sequence each.

    Raises:
        RequestError: if those are no more than what a split has anyway.
    """
    if num_shards < _FEWEST:
        raise RequestError(f"--num_shards {num_shards}: give at least {_FEWEST}")
    data_sets = {"few": directory / f"few-{num_shards}", "many": directory / f"shards-{num_shards}"}
    sharding = {"few": {}, "many": {"sequences_per_shard": 1}}
    made = {name: _make(data, num_shards, **sharding[name]) for name, data in data_sets.items()}
    for file in (file for data in data_sets.values() for file in data.iterdir()):
        file.read_bytes()  # Into the page cache.
    return {
        "image_size": _IMAGE_SIZE,
        "num_sequences": num_shards,
        "batch_size": BATCH_SIZE,
        "num_shards": {name: _num_shards(data) for name, data in data_sets.items()},
        "manifest_bytes": {name: (data / MANIFEST_NAME).stat().st_size for name, data in data_sets.items()},
        "generation_seconds": made,
        "rounds": [{name: _steps(data) for name, data in data_sets.items()} for _ in range(rounds)],
    }


def _make(data: Path, num_train: int, **sharding: object) -> float | None:
    """Make a data set, or find it whole; seconds that it took, None if anything of it was there before."""
    is_new = not data.exists()
    seconds = seconds_of(generate(data, num_train, held_out=_HELD_OUT, image_size=_IMAGE_SIZE, **sharding))
    return seconds if is_new else None


def _num_shards(data: Path) -> dict[str, int]:
    """Shards of all splits together and of training."""
    splits = json.loads((data / MANIFEST_NAME).read_bytes())["splits"]
    shards = {name: len(split["shards"]) for name, split in splits.items()}
    return {"all": sum(shards.values()), "train": shards["train"]}


def _steps(data: Path) -> dict[str, dict[str, Any]]:
    """What every step takes, each in a process of its own."""
    return {
        step: result_of(call("open_data", function, data_dir=data)) for step, (function, _) in _STEPS.items()
    }


def table(figures: dict[str, Any]) -> str:
    """The results in markdown, and whether they keep their bound."""
    return f"{shards_table(figures)}\n\n{bound(figures)}"


def shards_table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    shards, made = figures["num_shards"], figures["generation_seconds"]
    titles = " | ".join(f"{count['train']:,} training shards" for count in shards.values())
    sizes = " | ".join(f"{size / 1e6:,.3f}" for size in figures["manifest_bytes"].values())
    lines = [f"| | {titles} |", "|---|---:|---:|", f"| manifest, MB | {sizes} |"]
    for what, (_, name) in _STEPS.items():
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
        cells = [Spread.of([figure(each) for each in rounds]).text(digits) for rounds in steps.values()]
        return f"| {title} | {' | '.join(cells)} |"

    parts = [part for part in steps["few"][0]["seconds"] if part != "imports"]
    return [
        row(f"{name}, s", seconds_without_imports, 3),
        *(row(f"… {part}", partial(_part, part), 3) for part in (parts if len(parts) > 1 else ())),
        row("… with the imports", lambda step: sum(step["seconds"].values()), 3),
        row("… peak memory, MiB", lambda step: step["peak_bytes"] / 2**20, 0),
    ]


def _part(name: str, step: dict[str, Any]) -> float:
    return float(step["seconds"][name])


def bound(figures: dict[str, Any]) -> str:
    """Opening and starting an epoch of many shards, held against their bound."""
    rounds = figures["rounds"]
    steps = [[each["many"][what] for each in rounds] for what in ("open", "epoch")]
    took = sum(statistics.median(seconds_without_imports(step) for step in of_one) for of_one in steps)
    peak = max(step["peak_bytes"] for of_one in steps for step in of_one)
    aim = f"{_MAX_SECONDS} s and 1 GiB, imports not counted"
    met = took <= _MAX_SECONDS and peak <= _MAX_BYTES
    return f"{took:.1f} s, {peak / 2**20:,.0f} MiB; at most {aim}: {'met' if met else 'missed'}"
