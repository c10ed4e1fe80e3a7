"""Program: measures tables by name; without one, every section of the README's comparison.

A single table is measured in this process; of several, each in one of its own, one after the other. Figures
are written with machine, versions and command: to ``NAME.json`` in the output directory; several sections'
rows together to ``bench.json``, and the whole comparison's to benchmarks/results/.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import SUPPRESS
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.jobs import HAS_AFFINITY, command, timed_output_of
from benchmarks.process_memory import HAS_PROC
from benchmarks.results_file import default_results_path, write_results
from benchmarks.rows import rows_of, rows_to_json, table
from benchmarks.tables import SECTIONS, TABLES, module_of
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run

PROGRAM = "benchmarks.bench"


def main(arguments: Sequence[str]) -> int:
    """Measure, write, print; 1 if a part failed."""
    flags = vars(_parser().parse_args(arguments))
    names, directory, quick = (flags.pop(name) for name in ("names", "output_dir", "quick"))
    names = list(dict.fromkeys(names)) or list(SECTIONS)
    if unknown := [name for name in names if name not in TABLES]:
        raise RequestError(f"{unknown[0]}: give names of {', '.join(TABLES)}")
    if strange := [name for name in flags if not any(name in TABLES[table].settings for table in names)]:
        raise RequestError(f"--{strange[0]}: is no setting of {', '.join(names)}")
    if any(TABLES[name].linux for name in names) and not (HAS_PROC and HAS_AFFINITY):
        raise RequestError("cores and memory are told by Linux, which this system is not: run it there")
    directory.mkdir(parents=True, exist_ok=True)
    if len(names) == 1:
        return _measure(names[0], directory, quick, flags)
    return _measure_each(names, directory, quick, flags)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        "Measure tables, or compare Moving Lines with what its users would use otherwise.",
        f"python -m {PROGRAM} generation reading --quick --output_dir build/bench",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)} (default: those of the comparison)")
    add("--output_dir", type=Path, required=True, help="for figures, data sets and models, which stay")
    add("--quick", action="store_true", help="few sequences and one round: shows that it works")
    for setting in dict.fromkeys(setting for each in TABLES.values() for setting in each.settings):
        users = [name for name, each in TABLES.items() if setting in each.settings]
        value = TABLES[users[0]].settings[setting][0]
        one, number = (value[0], "+") if isinstance(value, list) else (value, None)
        of_type = positive_int if isinstance(one, int) else str
        add(f"--{setting}", type=of_type, nargs=number, default=SUPPRESS, help=f"for {', '.join(users)}")
    return parser


def _measure(name: str, directory: Path, quick: bool, given: dict[str, Any]) -> int:
    """Measure one table, here."""
    asked, path = TABLES[name], directory / f"{name}.json"
    if asked.tensorflow:
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
    module = module_of(name)
    if name in SECTIONS:  # Targets are of whole runs.
        rows = [replace(row, target=None) if quick else row for row in module.measure(directory, quick)]
        write_results(path, _command([name], quick), rows_to_json(rows))
        print(f"{table(rows)}\n{path}")
        return 0
    settings = {setting: values[quick] for setting, values in asked.settings.items()} | given
    measured = module.measure(directory, **settings)
    for figures in measured if isinstance(measured, Iterator) else [measured]:
        write_results(path, asked.command, figures)
    print(f"{module.table(figures)}\n{path}")
    problems: list[str] = module.problems(figures) if hasattr(module, "problems") else []
    for problem in problems:
        print(f"{PROGRAM}: {problem}", file=sys.stderr)
    return int(bool(problems))


def _measure_each(names: list[str], directory: Path, quick: bool, given: dict[str, Any]) -> int:
    """Measure every table in a process of its own, and put the sections' rows together."""
    start, rows = time.monotonic(), []
    for name in names:
        print(f"{time.monotonic() - start:5.0f} s  {name}", flush=True)
        flags: list[object] = ["--output_dir", directory, *(["--quick"] if quick else [])]
        for setting in given.keys() & TABLES[name].settings.keys():
            value = given[setting]
            flags += [f"--{setting}", *(value if isinstance(value, list) else [value])]
        printed = timed_output_of(command(PROGRAM, name, *flags))[1]
        if name in SECTIONS:
            rows += rows_of(json.loads((directory / f"{name}.json").read_text()))
        else:
            print(printed)
    if not rows:
        return 0
    sections = [name for name in names if name in SECTIONS]
    is_whole = not quick and set(sections) == set(SECTIONS)
    path = default_results_path() if is_whole else directory / "bench.json"
    seconds = time.monotonic() - start
    write_results(path, _command(sections, quick), {"seconds": round(seconds), **rows_to_json(rows)})
    print(f"{table(rows)}\n{seconds / 60:.1f} minutes; medians (lowest to highest); {path}")
    return 0


def _command(sections: Sequence[str], quick: bool) -> str:
    """What measures the same again."""
    some = "" if set(sections) == set(SECTIONS) else f' ONLY="{" ".join(sections)}"'
    return f"make bench{' QUICK=1' if quick else ''}{some}"


if __name__ == "__main__":
    run(PROGRAM, main)
