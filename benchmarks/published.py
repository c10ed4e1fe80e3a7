"""What the documents' figures say, by name, from the results that lie in the repository.

``table of RESULTS`` is a whole table. Of the comparison's rows there are ``ours of ROW``, ``other of
ROW`` and ``ratio of ROW`` (medians), ``spread of ROW`` (the ratio's) and ``target of ROW``. ``machine of
RESULTS`` is where it was measured and ``command of RESULTS`` what measures it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import sizing
from benchmarks.costs import read_costs
from benchmarks.needs import Plan
from benchmarks.results_file import RESULTS
from benchmarks.rows import Row, table
from benchmarks.tables import breakdown, engines, many_shards, observations, resuming, seeds, stages
from pipeline.moving_line.definition import MovingLine

# Rows for those who look at nothing else, by key.
_HIGHLIGHTS = (
    "generate-path-tfds",
    "generate-path-loop",
    "generate-frames-tfds",
    "read-frames",
    "train-frames",
    "train",
    "evaluate",
    "zero-errors",
)


def published(name: str) -> str:
    """A figure's text.

    Raises:
        KeyError: if there is no such figure, or no such results.
    """
    kind, _, of = name.partition(" of ")
    return _KINDS[kind](of)


def results_path(name: str) -> Path:
    """The file with the newest results of a name; ``bench`` is the comparison.

    Raises:
        KeyError: if there are none.
    """
    pattern = "20[0-9][0-9]-*.json" if name == "bench" else f"{name}-*.json"
    found = sorted(RESULTS.glob(pattern), key=lambda path: (_read(path)["date"], len(path.name), path.name))
    if not found:
        raise KeyError(f"no results {name}")
    return found[-1]


def comparison() -> list[Row]:
    """The rows of the newest comparison."""
    return [Row.from_json(row) for row in results("bench")["rows"]]


def results(name: str) -> dict[str, Any]:
    """The newest results of a name, as they were written."""
    return _read(results_path(name))


@cache
def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _row(key: str) -> Row:
    return {row.key: row for row in comparison()}[key]


def _table(name: str) -> str:
    return _TABLES[name]()


def _sizing() -> str:
    costs = read_costs(results_path("stages"), results_path("many-shards"))
    settings = MovingLine(0, costs.image_size, "path", 980_000_000, 10_000_000, 10_000_000)
    return sizing.table(costs, Plan(settings, sizing.CORES, sizing.RUNNER, sizing.GPU_RATE))


def _machine(name: str) -> str:
    machine = results(name)["machine"]
    return f"{machine['cores']} cores of an {machine['processor']}, Python {machine['python']}"


_TABLES: dict[str, Callable[[], str]] = {
    "bench": lambda: table(comparison()),
    "data-side": lambda: table([Row.from_json(row) for row in results("data-side")["rows"]]),
    "training": lambda: table([Row.from_json(row) for row in results("training")["rows"]]),
    "highlights": lambda: table([_row(key) for key in _HIGHLIGHTS]),
    "seeds": lambda: seeds.table(results("seeds")),
    "observations": lambda: observations.table(results("observations")),
    "resuming": lambda: resuming.table(results("resuming")),
    "engines": lambda: engines.table(results("engines")),
    "stages": lambda: stages.stages_table(results("stages")),
    "costs": lambda: stages.costs_table(results("stages")),
    "many-shards": lambda: many_shards.shards_table(results("many-shards")),
    "sizing": _sizing,
    "limits": lambda: breakdown.limits_table(results("breakdown")),
}
_KINDS: dict[str, Callable[[str], str]] = {
    "table": _table,
    "ours": lambda key: f"{_row(key).ours.median:,.{_row(key).digits}f}",
    "other": lambda key: f"{_row(key).others.median:,.{_row(key).digits}f}",
    "ratio": lambda key: f"{_row(key).ratio.median:.{_row(key).ratio_digits}f}",
    "spread": lambda key: _row(key).ratio.text(_row(key).ratio_digits),
    "target": lambda key: _row(key).cells()[-1],
    "bound": lambda name: many_shards.bound(results(name)),
    "breakdown": lambda stage: breakdown.stage_table(results("breakdown"), stage),
    "machine": _machine,
    "command": lambda name: str(results(name)["command"]),
    "date": lambda name: str(results(name)["date"]),
}
