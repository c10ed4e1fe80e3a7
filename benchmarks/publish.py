"""Program: write the figures of the README and of docs anew from the results that lie in the repository.

And draw the chart of the comparison: how many times as fast, on a logarithmic axis. Run it after a benchmark
whose results were put into benchmarks/results/.

A figure stands between two comments, ``<!-- figure NAME -->text<!-- end -->``, within a line or around whole
lines. A renderer shows the text only. A line must not begin with the comment of a figure within it: markdown
would take the whole line for HTML. Of the names, ``table of RESULTS`` is a whole table and ``machine of
RESULTS`` where it was measured; of the comparison's rows there are ``ours of ROW`` (a median), ``spread of
ROW`` (the ratio's) and ``target of ROW``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import sizing
from benchmarks.results_file import results
from benchmarks.rows import Row, rows_of, rows_to_json, table
from benchmarks.tables import (
    SECTIONS,
    breakdown,
    captioning,
    clip_seeds,
    engines,
    many_shards,
    observations,
    resuming,
    seeds,
    stages,
)
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run

PROGRAM = "benchmarks.publish"

ROOT = Path(__file__).parent.parent
CHART = ROOT / "docs" / "images" / "compared.png"
# The key under which the picture says which results it shows.
SOURCE = "Source"

FIGURE = re.compile(r"<!-- figure (?P<name>[^>]+?) -->(?P<text>.*?)<!-- end -->", re.DOTALL)
_OURS, _OTHERS = "#12203a", "#b3261e"
# Rows for those who look at nothing else, by key: of what holds for any data, and of what only lines gain.
_HIGHLIGHTS = (
    *("clips-jpeg-png", "clips-jpeg-ffmpeg", "clips-opencv", "epoch-opencv", "read-windows-tfds"),
    *("train-clips-keras", "describe-loop", "generate-frames-tfds", "train-frames"),
)
_OF_LINES = ("generate-path-tfds", "train", "evaluate")
# Sections of sequences from a seed stand in one table.
_OF_SEQUENCES = (
    *("generation", "record_size", "verification", "reading"),
    *("training", "evaluation", "memory", "zero_errors"),
)


def main(arguments: Sequence[str]) -> int:
    """Write what has changed."""
    parser = ArgumentParser(
        PROGRAM, "Write the documents' figures anew from kept results.", f"python -m {PROGRAM}"
    )
    parser.parse_args(arguments)
    for path in documents(ROOT):
        text = path.read_text()
        if (new := with_figures(text, published)) != text:
            path.write_text(new)
            print(f"{path.relative_to(ROOT)}: written")
    draw_chart(comparison(), CHART)
    return 0


def figures(text: str) -> Iterator[tuple[str, str]]:
    """Name and text of every figure of a document."""
    for found in FIGURE.finditer(text):
        yield found["name"], found["text"]


def with_figures(text: str, written: Callable[[str], str]) -> str:
    """The document with every figure as a function of its name gives it; tables get lines of their own."""

    def replaced(found: re.Match[str]) -> str:
        content = written(found["name"])
        if "\n" in content:
            content = f"\n{content}\n"
        return f"<!-- figure {found['name']} -->{content}<!-- end -->"

    return FIGURE.sub(replaced, text)


def documents(root: Path) -> list[Path]:
    """The README and what lies in docs."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def published(name: str) -> str:
    """A figure's text.

    Raises:
        KeyError: if there is no such figure, or no such results.
    """
    kind, _, of = name.partition(" of ")
    return _KINDS[kind](of)


def comparison() -> list[Row]:
    """The rows of the newest comparison; sections that were kept since take the place of its own."""
    whole = results("bench")
    rows = {row.key: row for row in rows_of(whole)}
    for section in SECTIONS:
        with contextlib.suppress(KeyError):
            if (anew := results(section.replace("_", "-")))["date"] >= whole["date"]:
                rows |= {row.key: row for row in rows_of(anew)}
    return list(rows.values())


def _sections(*names: str) -> str:
    keys = {key for name in names for key in SECTIONS[name]}
    return table([row for row in comparison() if row.key in keys])


def _highlights() -> str:
    general, of_lines = (table([_row(key) for key in keys]) for keys in (_HIGHLIGHTS, _OF_LINES))
    return "\n".join([general, "| *moving lines, by their paths:* | | | | | |", *of_lines.splitlines()[2:]])


def _row(key: str) -> Row:
    return {row.key: row for row in comparison()}[key]


def _machine(name: str) -> str:
    machine = results(name)["machine"]
    vectors = f" with {found}" if (found := machine.get("vectors")) else ""  # Older results lack it.
    return f"{machine['cores']} cores of an {machine['processor']}{vectors}, Python {machine['python']}"


_TABLES: dict[str, Callable[[], str]] = {
    **{name: partial(_sections, name) for name in SECTIONS},
    "sequences": partial(_sections, *_OF_SEQUENCES),
    "highlights": _highlights,
    "seeds": lambda: seeds.table(results("seeds")),
    "clip-seeds": lambda: clip_seeds.table(results("clip-seeds")),
    "captioning": lambda: captioning.table(results("captioning")),
    "observations": lambda: observations.table(results("observations")),
    "resuming": lambda: resuming.table(results("resuming")),
    "engines": lambda: engines.table(results("engines")),
    "stages": lambda: stages.stages_table(results("stages")),
    "costs": lambda: stages.costs_table(results("stages")),
    "many-shards": lambda: many_shards.shards_table(results("many-shards")),
    "sizing": sizing.table,
    "limits": lambda: breakdown.limits_table(results("breakdown")),
}
_KINDS: dict[str, Callable[[str], str]] = {
    "table": lambda name: _TABLES[name](),
    "machine": _machine,
    "ours": lambda key: f"{_row(key).ours.median:,.{_row(key).digits}f}",
    "spread": lambda key: _row(key).ratio.text(_row(key).ratio_digits),
    "target": lambda key: _row(key).cells()[-1],
    "bound": lambda name: many_shards.bound(results(name)),
    "breakdown": lambda stage: breakdown.stage_table(results("breakdown"), stage),
}


def draw_chart(rows: Sequence[Row], path: Path) -> None:
    """Draw the whole jobs among the rows that compare speed; the picture carries their `source`."""
    speeds = [row for row in rows if not row.is_size and not row.what.startswith("…")]
    figure = Figure(figsize=(9, 0.42 * len(speeds) + 0.9), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(speeds)):
        ratio = row.ratio
        color = _OURS if ratio.median >= 1 else _OTHERS
        axes.barh(place, ratio.median - 1, left=1, height=0.62, color=color)
        axes.plot([ratio.low, ratio.high], [place, place], color="#ffd166", linewidth=3)
        text = f"{ratio.median:.{row.ratio_digits}f} x"
        axes.text(max(ratio.high, 1) * 1.08, place, text, va="center", fontsize=9, weight="bold")
    labels = [f"{row.what.rpartition(', ')[0]}\nbeside {row.other}" for row in reversed(speeds)]
    axes.set_yticks(range(len(speeds)), [label.replace("`", "") for label in labels], fontsize=7.5)
    axes.set_xscale("log")
    axes.set_xlim(right=2.2 * max(row.ratio.high for row in speeds))
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast (bar: median; line: lowest to highest round)", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110, metadata={SOURCE: source(rows)})


def source(rows: Sequence[Row]) -> str:
    """Names the figures that a chart shows."""
    return sha256(repr(rows_to_json(rows)["rows"]).encode()).hexdigest()


if __name__ == "__main__":
    run(PROGRAM, main)
