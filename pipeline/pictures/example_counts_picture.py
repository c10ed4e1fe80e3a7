"""Draws the statistics of a data set of any kind: examples by class and by length."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from pipeline.command_line.errors import RequestError
from pipeline.dataset.example_counts import ExampleCounts
from pipeline.dataset.statistics import Statistics
from pipeline.pictures.files import save_atomically
from pipeline.pictures.text import plain_text


@plain_text()
def draw_example_counts(splits: Mapping[str, Statistics], path: str) -> None:
    """Draw, for every split, bars of the numbers of examples by class and by length.

    Args:
        splits: statistics by split; they must be `ExampleCounts`.
        path: path of the picture; see `pipeline.pictures.files.check_picture_path`.

    Raises:
        RequestError: if the examples have neither class labels nor lengths that vary.
        OSError: if the picture cannot be written.
    """
    counted = {name: _bars(statistics) for name, statistics in splits.items()}
    columns = max(map(len, counted.values()))
    if not columns:
        raise RequestError("--statistics: the examples have neither classes nor lengths to count")
    figure = Figure(figsize=(5 * columns, 2.6 * len(splits)), layout="constrained")
    grid = figure.subplots(len(splits), columns, squeeze=False)
    for (name, bars), row in zip(counted.items(), grid, strict=True):
        for (title, counts), axes in zip(bars.items(), row, strict=True):
            axes.bar(list(map(str, counts)), list(counts.values()), color="#4c78a8")
            axes.set_title(title, fontsize=10)
            axes.tick_params(axis="x", labelsize=8, rotation=90 if len(counts) > 8 else 0)
        row[0].set_ylabel(f"{name}, examples", fontsize=10)
    save_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110))


def _bars(statistics: Statistics) -> dict[str, dict[str, int] | dict[int, int]]:
    """The counts to draw: title -> (class name or length -> number of examples)."""
    assert isinstance(statistics, ExampleCounts)
    lengths = {f"length of {name}": dict(sorted(each.items())) for name, each in statistics.lengths.items()}
    return {**statistics.classes, **lengths}
