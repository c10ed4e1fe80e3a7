"""Program: every comparison of the README, side by side on this machine.

Runs the sections one after the other, each in a process of its own; within a section both sides are
measured in turn, round by round. Prints a table, and writes all rounds with machine, versions and
command.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.jobs import command, output_of
from benchmarks.results_file import default_results_path, write_results
from benchmarks.rows import Row, table
from benchmarks.sections import SECTIONS
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run

PROGRAM = "benchmarks.bench"

_MODULES = ("apache_beam", "keras", "numpy", "tensorflow", "tensorflow_datasets")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    parser = ArgumentParser(
        PROGRAM,
        "Compare Moving Lines with what its users would use otherwise: rates, sizes, memory, times.",
        f"python -m {PROGRAM} --output_dir build/bench",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for data sets and models, which stay, and quick results")
    add("--quick", action="store_true", help="few sequences and one round: shows that it works, some minutes")
    add("--only", choices=SECTIONS, nargs="+", default=SECTIONS, help="these sections")
    add(
        "--results",
        type=Path,
        help="JSON file to write; default benchmarks/results/DATE-CPU.json, or in output_dir",
    )
    flags = parser.parse_args(arguments)
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    is_whole = not flags.quick and set(flags.only) == set(SECTIONS)
    path = flags.results or (default_results_path() if is_whole else directory / "bench.json")
    start = time.monotonic()
    rows: list[Row] = []
    for name in SECTIONS:
        if name in flags.only:
            print(f"{time.monotonic() - start:5.0f} s  {name}", flush=True)
            job = ("--name", name, "--output_dir", directory, *(("--quick",) if flags.quick else ()))
            measured = output_of(command("benchmarks.section", *job)).splitlines()[-1]
            rows += [Row.from_json(row) for row in json.loads(measured)]
    if flags.quick:  # Targets are of whole runs.
        rows = [replace(row, target=None) for row in rows]
    seconds = time.monotonic() - start
    figures = {"seconds": round(seconds), "rows": [row.to_json() for row in rows]}
    write_results(path, _command(flags.quick, flags.only), _MODULES, figures)
    print(f"{table(rows)}\n{seconds / 60:.1f} minutes; medians (lowest to highest); {path}")
    return 0


def _command(quick: bool, only: Sequence[str]) -> str:
    """What measures the same again."""
    some = "" if set(only) == set(SECTIONS) else f' ONLY="{" ".join(only)}"'
    return f"make bench{' QUICK=1' if quick else ''}{some}"


if __name__ == "__main__":
    run(PROGRAM, main)
