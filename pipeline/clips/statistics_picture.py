"""Draws the statistics of a data set of clips: classes by split, and what is known of the sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.clips.source_facts import SourceFacts, most_common
from pipeline.clips.statistics import ClipStatistics
from pipeline.dataset.statistics import Statistics
from pipeline.pictures.files import save_atomically
from pipeline.pictures.text import plain_text

# More classes than this are drawn as a curve.
_MOST_BARS = 40
_MOST_ROWS = 7
# Classes with the most clips, and with the fewest, that a curve names.
_NAMED = 3
_LONGEST_NAME = 28
_COLORS = {"train": "#4c78a8", "validation": "#f2a33c", "test": "#54a24b"}
_BAR = "#b9cbe0"


@plain_text()
@rc_context({"font.size": 9.0})
def draw_statistics(splits: Mapping[str, Statistics], facts: SourceFacts, path: str) -> None:
    """Draw the statistics of clips.

    Above, the clips and the records of every class, by split: as bars, or, of more than 40 classes, as the
    numbers in descending order. Below, the clips' seconds and brightness and, if there are captions, their
    words by split, and how many clips are of each size, frame rate and codec, and cannot be used for which
    reason.

    Args:
        splits: statistics by split; they must be `ClipStatistics`.
        facts: facts of the sources.
        path: path of the picture; see `pipeline.pictures.files.check_picture_path`.

    Raises:
        OSError: if the picture cannot be written.
    """
    clips, records = {}, {}
    for name, each in splits.items():
        assert isinstance(each, ClipStatistics)
        clips[name], records[name] = each.clips, each.records
    num_classes = len(set().union(*clips.values()))
    is_few = num_classes <= _MOST_BARS
    rows = {
        "sizes": facts.sizes,
        "frames a second": facts.rates,
        "codecs": facts.codecs,
        f"not used, or not to the end: {facts.reasons.total():,} clips": facts.reasons,
    }
    below = 0.24 * min(_MOST_ROWS, max(1, *map(len, rows.values()))) + 0.5
    heights = 0.19 * num_classes + 0.9 if is_few else 3.4, 2.5, below
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    upper, middle, lower = figure.subfigures(3, 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, what, counts in zip(upper.subplots(1, 2), ("clips", "records"), (clips, records), strict=True):
        axes.set_title(what, loc="left", weight="bold")
        (_draw_bars if is_few else _draw_curves)(axes, counts)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=3, frameon=False, borderaxespad=0)
    seconds, brightness, *words = middle.subplots(1, 3 if facts.words else 2)
    _draw_histogram(seconds, "seconds of a clip", facts.seconds, "clips")
    _draw_histogram(brightness, "brightness of a clip, 0 to 255", facts.brightness, "clips")
    for axes in words:
        _draw_histogram(axes, "words of a caption", facts.words, "captions")
    for axes, (title, found) in zip(
        lower.subplots(1, 4, width_ratios=(1, 1, 1, 2.8)), rows.items(), strict=True
    ):
        _draw_rows(axes, title, found, min(_MOST_ROWS, max(1, *map(len, rows.values()))))
    save_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110))


def _draw_bars(axes: Axes, counts: Mapping[str, Mapping[str, int]]) -> None:
    """A bar for every class, the largest on top; its parts are the splits."""
    totals = _totals(counts)
    names = sorted(totals, key=lambda name: (-totals[name], name))
    ends = np.zeros(len(names))
    for split, each in counts.items():
        widths = np.array([each.get(name, 0) for name in names])
        axes.barh(range(len(names)), widths, left=ends, color=_COLORS.get(split), label=_of(split, each))
        ends += widths
    for place, name in enumerate(names):
        text = " + ".join(f"{each.get(name, 0):,}" for each in counts.values())
        axes.text(ends[place], place, f" {text}", va="center", fontsize=7.5)
    axes.set_yticks(range(len(names)), [_short(name or "without labels") for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max(ends) * 1.2)


def _draw_curves(axes: Axes, counts: Mapping[str, Mapping[str, int]]) -> None:
    """For every split, the numbers of its classes in descending order; the extremes are named."""
    totals = _totals(counts)
    for split, each in counts.items():
        numbers = sorted((each.get(name, 0) for name in totals), reverse=True)
        axes.plot(
            range(1, len(numbers) + 1), numbers, color=_COLORS.get(split), label=_of(split, each), linewidth=2
        )
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    extremes = {"most": ranked[:_NAMED], "fewest": ranked[-_NAMED:]}
    lines = [f"{what}: {totals[name]:,} {_short(name)}" for what, names in extremes.items() for name in names]
    lines += [
        f"{split}: {missing:,} classes have none"
        for split, each in counts.items()
        if (missing := sum(not each.get(name) for name in totals))
    ]
    axes.text(
        0.99, 0.97, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", ma="left"
    ).set_in_layout(False)
    if max(totals.values()) > 20 * max(1, min(totals.values())):
        axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0)
    axes.set_xlim(1, len(totals))
    axes.set_xlabel(f"{len(totals):,} classes, by number")


def _draw_histogram(axes: Axes, title: str, values: Mapping[str, Sequence[float]], what: str) -> None:
    """How many clips or captions have which value; the splits' bars stand upon each other."""
    splits = [name for name in _COLORS if values.get(name)]
    axes.hist(
        [values[name] for name in splits],
        bins=30,
        stacked=True,
        color=[_COLORS[name] for name in splits],
        label=splits,
    )
    axes.set_title(title, loc="left", weight="bold")
    axes.set_ylabel(what)


def _draw_rows(axes: Axes, title: str, counts: Counter[str], most: int) -> None:
    """A bar with its name for every count; the most frequent ones, and all others as one."""
    rows = most_common(counts, most)
    for place, (name, count) in enumerate(rows):
        axes.barh(place, count, color=_BAR)
        axes.text(0, place, f" {_short(name, 80)}: {count:,}", va="center")
    axes.set_title(title, loc="left", weight="bold")
    axes.set_axis_off()
    axes.set_xlim(0, max([1, *(count for _, count in rows)]))
    axes.set_ylim(most + 0.6, -0.6)


def _of(split: str, counts: Mapping[str, int]) -> str:
    return f"{split}: {sum(counts.values()):,}"


def _totals(counts: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for each in counts.values():
        totals.update(each)
    return totals


def _short(name: str, most: int = _LONGEST_NAME) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
