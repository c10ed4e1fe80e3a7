"""Draws the statistics of moving lines beside the definition's probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.dataset.statistics import ChiSquaredTest, Statistics
from pipeline.moving_line.goodness_of_fit import STEP_PROBABILITIES, chi_squared_tests
from pipeline.moving_line.lines import CLASS_NAMES
from pipeline.moving_line.statistics import STEP_PLACES, STEPS, LineStatistics
from pipeline.pictures.files import save_atomically

_COUNTED, _EXPECTED = "#4c78a8", "#e45756"
_PLACE_NAMES = {"interior": "inside", "lower_border": "from row 0", "upper_border": "from the last row"}


def draw_statistics(splits: Mapping[str, Statistics], path: str) -> None:
    """Draw, for every split, the shares of labels, start rows and steps beside those of the definition.

    Bars show the counted shares, a line the definition's probabilities. The band around the line is two
    standard deviations of a binomial share: 95 % of correct data sets are inside.

    Args:
        splits: statistics by split; they must be `LineStatistics`.
        path: path of the picture; see `pipeline.pictures.files.check_picture_path`.

    Raises:
        OSError: if the picture cannot be written.
    """
    figure = Figure(figsize=(13, 3.4 * len(splits)), layout="constrained")
    rows = figure.subplots(len(splits), 3, width_ratios=(1, 3, 2.5), squeeze=False)
    for (name, counted), (labels, starts, steps) in zip(splits.items(), rows, strict=True):
        assert isinstance(counted, LineStatistics)
        tests = {test.counts: test for test in chi_squared_tests(name, counted)}
        _draw_shares(labels, counted.labels, np.full(len(CLASS_NAMES), 1 / len(CLASS_NAMES)))
        labels.set_xticks(range(len(CLASS_NAMES)), CLASS_NAMES)
        labels.set_ylabel(f"{name}\n{counted.labels.sum():,} sequences", fontsize=11)
        labels.set_title(f"label, {_p_value(tests['labels'])}", fontsize=10)
        size = len(counted.start_rows)
        _draw_shares(starts, counted.start_rows, np.full(size, 1 / size))
        starts.set_title(f"start row, {_p_value(tests['start_rows'])}", fontsize=10)
        _draw_steps(steps, counted, tests)
    rows[0][1].legend(loc="lower right", fontsize=8)
    save_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110))


def _draw_shares(
    axes: Axes, counts: npt.NDArray[np.int64], probabilities: npt.NDArray[Any], first: int = 0
) -> None:
    """Draw counted shares as bars at x = first, first + 1, ..., and the probabilities and their band."""
    total = max(int(counts.sum()), 1)
    places = np.arange(first, first + len(counts))
    axes.bar(places, counts / total, color=_COUNTED, label="counted")
    deviation = 2 * np.sqrt(probabilities * (1 - probabilities) / total)
    edges = np.append(places - 0.5, places[-1] + 0.5)
    low, high = (
        np.append(bound, bound[-1]) for bound in (probabilities - deviation, probabilities + deviation)
    )
    axes.fill_between(edges, low.clip(0), high, step="post", color=_EXPECTED, alpha=0.25, linewidth=0)
    axes.stairs(probabilities, edges, color=_EXPECTED, baseline=None, label="definition")
    axes.set_ylim(0)


def _draw_steps(axes: Axes, statistics: LineStatistics, tests: dict[str, ChiSquaredTest]) -> None:
    ticks: list[int] = []
    names: list[str] = []
    for number, (place, counts) in enumerate(zip(STEP_PLACES, statistics.steps, strict=True)):
        first = number * (len(STEPS) + 1)
        _draw_shares(axes, counts, np.array(STEP_PROBABILITIES[place]), first)
        ticks += range(first, first + len(STEPS))
        names += [f"{step:+d}" if step else "0" for step in STEPS]
        p = _p_value(tests[f"steps_{place}"]) if f"steps_{place}" in tests else "none"
        axes.text(first + 1, 0.62, f"{_PLACE_NAMES[place]}\n{p}", ha="center", va="top", fontsize=9)
    axes.set_xticks(ticks, names)
    axes.set_ylim(0, 0.64)
    axes.set_title("step", fontsize=10)


def _p_value(test: ChiSquaredTest) -> str:
    return "too few to judge" if test.p_value is None else f"p = {test.p_value:.2g}"
