"""What the index says of the clips as a whole: seconds, sizes, frame rates, codecs, brightness, reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from pipeline.clips.index import Entry

_MOST_KEPT = 4
_OTHERS = "others"


@dataclass(frozen=True)
class SourceFacts:
    """Facts of clips, by split where it matters.

    Attributes:
        seconds, brightness: by split, of every clip that is used; brightness is 0..255.
        sizes, rates, codecs: numbers of clips that are used, by ``WIDTHxHEIGHT`` as shown, by frames a second
            (frames divided by seconds), and by codec.
        reasons: numbers of clips that are not used, or not to their end, by reason; numbers in a reason are
            replaced by N.
        words: by split, the number of words of every caption of a clip that is used.
    """

    seconds: Mapping[str, list[float]]
    brightness: Mapping[str, list[float]]
    sizes: Counter[str]
    rates: Counter[str]
    codecs: Counter[str]
    reasons: Counter[str]
    words: Mapping[str, list[int]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> SourceFacts:
        """The facts of an index's entries."""
        found = cls({}, {}, Counter(), Counter(), Counter(), Counter(), {})
        for entry in entries:
            if reason := entry.reason or entry.damage:
                found.reasons[re.sub(r"\d+", "N", reason)] += 1
            if not entry.records:
                continue
            facts, split = entry.facts, entry.source.split or ""
            found.seconds.setdefault(split, []).append(_seconds(entry))  # type: ignore[attr-defined]
            found.brightness.setdefault(split, []).append(entry.brightness)  # type: ignore[attr-defined]
            for caption in entry.source.captions:
                found.words.setdefault(split, []).append(len(caption.split()))  # type: ignore[attr-defined]
            found.sizes[f"{facts['width']}x{facts['height']}"] += 1
            found.codecs[facts["codec"]] += 1
            if facts["seconds"]:
                found.rates[f"{facts['num_frames'] / facts['seconds']:.2f}".rstrip("0").rstrip(".")] += 1
        return found

    def to_json(self) -> dict[str, Any]:
        """A summary in JSON values; the most frequent sizes, rates and codecs are kept, others counted."""
        counts = {"sizes": self.sizes, "rates": self.rates, "codecs": self.codecs}
        return {
            **{name: _range(values) for name, values in self._values().items()},
            **{name: dict(most_common(found, _MOST_KEPT)) for name, found in counts.items()},
        }

    def _values(self) -> dict[str, list[float]]:
        by_split = {"seconds": self.seconds, "brightness": self.brightness}
        return {name: [one for some in each.values() for one in some] for name, each in by_split.items()}


def most_common(counts: Counter[str], most: int) -> list[tuple[str, int]]:
    """The most frequent of counts, in order, and the sum of all others, if there are more."""
    kept = counts.most_common(most)
    others = counts.total() - sum(count for _, count in kept)
    return [*kept, (_OTHERS, others)] if others else kept


def facts_lines(facts: Mapping[str, Any]) -> list[str]:
    """Lines of text of what `SourceFacts.to_json` returned."""
    lines = []
    for name, unit in (("seconds", "a clip"), ("brightness", "of 0 to 255")):
        low, middle, high = facts[name]
        lines.append(f"  {name:<10} {low:,.1f} to {high:,.1f}, median {middle:,.1f}, {unit}")
    for name in ("sizes", "rates", "codecs"):
        shown = ", ".join(f"{each} ({count:,})" for each, count in facts[name].items())
        lines.append(f"  {name:<10} {shown}")
    return lines


def _seconds(entry: Entry) -> float:
    """Length of the part of the file that a clip is."""
    start, end = float(entry.source.start or 0), entry.facts["seconds"]
    return float(max(0.0, (end if entry.source.end is None else min(end, float(entry.source.end))) - start))


def _range(values: list[float]) -> list[float]:
    """Smallest, median and largest."""
    return [round(each, 3) for each in (min(values), median(values), max(values))] if values else [0, 0, 0]
