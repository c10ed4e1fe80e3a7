"""Program: measures tables, or rows of the comparison, by name; without one, the README's whole comparison.

Rows are measured by their section, which measures its others, too; those that were not asked for are left
out. A single table is measured in this process; of several, each in one of its own, one after the other.
Figures are written with machine, versions and command: to ``TABLE.json`` in the output directory; several
sections' rows together to ``bench.json``, and the whole comparison's to benchmarks/results/. A quick run
measures two tables at once, with the data of each in a folder of the output directory.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import SUPPRESS
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.jobs import HAS_AFFINITY, command, timed_output_of
from benchmarks.process_memory import HAS_PROC
from benchmarks.results_file import default_results_path, write_results
from benchmarks.rows import Row, rows_of, rows_to_json, table
from benchmarks.tables import SECTIONS, TABLES, module_of
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.command_line.program import run

PROGRAM = "benchmarks.bench"

# Tables that are asked for, in order, each with the keys of the rows that are wanted of it.
_Asked = dict[str, set[str]]


def main(arguments: Sequence[str]) -> int:
    """Measure, write, print; 1 if a part failed."""
    flags = vars(_parser().parse_args(arguments))
    names, directory, quick = (flags.pop(name) for name in ("rows", "output_dir", "quick"))
    asked = _asked(names or [*SECTIONS])
    if strange := [name for name in flags if not any(name in TABLES[table].settings for table in asked)]:
        raise RequestError(f"--{strange[0]}: is no setting of {', '.join(asked)}")
    if any(TABLES[name].linux for name in asked) and not (HAS_PROC and HAS_AFFINITY):
        raise RequestError("cores and memory are told by Linux, which this system is not: run it there")
    directory.mkdir(parents=True, exist_ok=True)
    if len(asked) == 1:
        return _measure(asked, directory, quick, flags)
    return _measure_each(asked, directory, quick, flags)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        "Measure tables, or compare Moving Lines with what its users would use otherwise.",
        f"python -m {PROGRAM} --rows generation read-paths --quick --output_dir build/bench",
    )
    add = parser.add_argument
    add(
        "--rows",
        nargs="+",
        metavar="NAME",
        help=f"tables, of {', '.join(TABLES)}, or keys of rows, such as {next(iter(SECTIONS.values()))[0]}"
        ", which are then measured with their section (default: the whole comparison)",
    )
    add("--output_dir", type=Path, required=True, help="for figures, data sets and models, which stay")
    add("--quick", action="store_true", help="few sequences and one round: shows that it works")
    for setting in dict.fromkeys(setting for each in TABLES.values() for setting in each.settings):
        users = [name for name, each in TABLES.items() if setting in each.settings]
        value = TABLES[users[0]].settings[setting][0]
        one, number = (value[0], "+") if isinstance(value, list) else (value, None)
        of_type = positive_int if isinstance(one, int) else str
        add(f"--{setting}", type=of_type, nargs=number, default=SUPPRESS, help=f"for {', '.join(users)}")
    return parser


def _asked(names: Sequence[str]) -> _Asked:
    """What names of tables and keys of rows ask for.

    Raises:
        RequestError: for a name that is neither.
    """
    asked: _Asked = {}
    for name in names:
        of_row = (section for section, keys in SECTIONS.items() if name in keys)
        table_name = name if name in TABLES else next(of_row, None)
        if table_name is None:
            raise RequestError(f"--rows {name}: give the key of a row, or names of {', '.join(TABLES)}")
        asked.setdefault(table_name, set()).update(SECTIONS.get(name, [name]))
    return asked


def _measure(asked: _Asked, directory: Path, quick: bool, given: dict[str, Any]) -> int:
    """Measure one table, here."""
    ((name, keys),) = asked.items()
    measurable, path = TABLES[name], directory / f"{name}.json"
    data = directory / name if quick else directory
    data.mkdir(exist_ok=True)
    if measurable.tensorflow:
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
    module = module_of(name)
    if name in SECTIONS:
        rows = _chosen(name, keys, module.measure(data, quick), quick)
        write_results(path, _command(asked, quick), rows_to_json(rows))
        print(f"{table(rows)}\n{path}")
        return 0
    settings = {setting: values[quick] for setting, values in measurable.settings.items()} | given
    measured = module.measure(data, **settings)
    for figures in measured if isinstance(measured, Iterator) else [measured]:
        write_results(path, measurable.command, figures)
    print(f"{module.table(figures)}\n{path}")
    problems: list[str] = module.problems(figures) if hasattr(module, "problems") else []
    for problem in problems:
        print(f"{PROGRAM}: {problem}", file=sys.stderr)
    return int(bool(problems))


def _chosen(section: str, keys: set[str], rows: Sequence[Row], quick: bool) -> list[Row]:
    """The rows of a section that are wanted.

    Raises:
        WorkError: if the section gives one that is not listed, or none that is wanted.
    """
    if strange := [row.key for row in rows if row.key not in SECTIONS[section]]:
        raise WorkError(f"{section}: gives the row {strange[0]}; list it in benchmarks/tables/__init__.py")
    # Targets are of whole runs.
    chosen = [replace(row, target=None) if quick else row for row in rows if row.key in keys]
    if not chosen:
        raise WorkError(f"{', '.join(sorted(keys))}: not measured on this machine, or not by a quick run")
    return chosen


def _measure_each(asked: _Asked, directory: Path, quick: bool, given: dict[str, Any]) -> int:
    """Measure every table in a process of its own, and put the sections' rows together."""
    start = time.monotonic()

    def measured(name: str) -> list[Row]:
        print(f"{time.monotonic() - start:5.0f} s  {name}", flush=True)
        flags: list[object] = ["--rows", *_names({name: asked[name]}), "--output_dir", directory]
        flags += ["--quick"] if quick else []
        for setting in given.keys() & TABLES[name].settings.keys():
            value = given[setting]
            flags += [f"--{setting}", *(value if isinstance(value, list) else [value])]
        printed = timed_output_of(command(PROGRAM, *flags))[1]
        if name in SECTIONS:
            return rows_of(json.loads((directory / f"{name}.json").read_text()))
        print(printed)
        return []

    # A quick run shows that everything works, not how fast: so two tables at once, each with data of its own.
    with ThreadPoolExecutor(2 if quick else 1) as pool:
        rows = [row for found in pool.map(measured, asked) for row in found]
    if not rows:
        return 0
    sections = {name: keys for name, keys in asked.items() if name in SECTIONS}
    is_whole = not quick and _is_whole(sections)
    path = default_results_path() if is_whole else directory / "bench.json"
    seconds = time.monotonic() - start
    write_results(path, _command(sections, quick), {"seconds": round(seconds), **rows_to_json(rows)})
    print(f"{table(rows)}\n{seconds / 60:.1f} minutes; medians (lowest to highest); {path}")
    return 0


def _names(asked: _Asked) -> list[str]:
    """Names that ask for the same: of whole tables, else of rows."""
    names = []
    for name, keys in asked.items():
        listed = SECTIONS.get(name, ())
        names += [name] if keys >= set(listed) else [key for key in listed if key in keys]
    return names


def _is_whole(asked: _Asked) -> bool:
    """Whether the whole comparison is asked for."""
    return set(_names(asked)) == set(SECTIONS)


def _command(asked: _Asked, quick: bool) -> str:
    """What measures the same rows again."""
    some = "" if _is_whole(asked) else f' ROWS="{" ".join(_names(asked))}"'
    return f"make bench{' QUICK=1' if quick else ''}{some}"


if __name__ == "__main__":
    run(PROGRAM, main)
