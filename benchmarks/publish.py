"""Program: write the figures of the README and of docs anew from the results that lie in the repository.

And draw the chart of the comparison: how many times as fast, on a logarithmic axis. Run it after a benchmark
whose results were put into benchmarks/results/.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.documents import documents, with_figures
from benchmarks.published import comparison, published
from benchmarks.rows import Row
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run

PROGRAM = "benchmarks.publish"

ROOT = Path(__file__).parent.parent
CHART = ROOT / "docs" / "images" / "compared.png"
# The key under which the picture says which results it shows.
SOURCE = "Source"

_OURS, _OTHERS = "#12203a", "#b3261e"


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
        axes.text(
            max(ratio.high, 1) * 1.08,
            place,
            f"{ratio.median:.{row.ratio_digits}f} x",
            va="center",
            fontsize=9,
            weight="bold",
        )
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
    return sha256(repr([row.to_json() for row in rows]).encode()).hexdigest()


if __name__ == "__main__":
    run(PROGRAM, main)
