"""Program: write the figures of the README and of docs anew from the results that lie in the repository.

And draw the chart of the comparison. Run it after a benchmark whose results were put into
benchmarks/results/.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.chart import draw_chart
from benchmarks.documents import documents, with_figures
from benchmarks.published import comparison, published
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run

PROGRAM = "benchmarks.publish"

ROOT = Path(__file__).parent.parent
CHART = ROOT / "docs" / "images" / "compared.png"


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


if __name__ == "__main__":
    run(PROGRAM, main)
