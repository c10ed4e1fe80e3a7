"""Statistics of records of clips: numbers of records and clips by class, frames and seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClipStatistics:
    """Counts over records; see `pipeline.dataset.statistics.Statistics`.

    Attributes:
        records, clips, frames: numbers by class; "" is the class of clips without labels. A clip counts with
            its first record.
        lengths: numbers of records by number of frames.
    """

    records: dict[str, int]
    clips: dict[str, int]
    frames: dict[str, int]
    lengths: dict[int, int]

    @classmethod
    def of(cls, label: str, segment: int, num_frames: int) -> ClipStatistics:
        """The statistics of one record."""
        return cls({label: 1}, {label: int(segment == 0)}, {label: num_frames}, {num_frames: 1})

    def __add__(self, other: ClipStatistics) -> ClipStatistics:
        return ClipStatistics(
            _add(self.records, other.records),
            _add(self.clips, other.clips),
            _add(self.frames, other.frames),
            _add(self.lengths, other.lengths),
        )

    def __str__(self) -> str:
        clips = f"{sum(self.clips.values()):,} clips, {sum(self.frames.values()):,} frames"
        if set(self.records) == {""}:
            return clips
        if len(self.records) > 8:
            named = sorted(self.records, key=lambda name: (self.records[name], name))
            most, fewest = (f"{self.records[name]:,} {name}" for name in (named[-1], named[0]))
            return f"{clips}, {len(self.records):,} classes, from {fewest} to {most}"
        return ", ".join([clips, *(f"{count:,} {name}" for name, count in sorted(self.records.items()))])

    def to_json(self) -> dict[str, Any]:
        """The counts as the manifest stores them."""
        numbers = {
            name: {str(key): counts[key] for key in sorted(counts)}
            for name, counts in (("records", self.records), ("clips", self.clips), ("frames", self.frames))
        }
        return {**numbers, "lengths": {str(length): self.lengths[length] for length in sorted(self.lengths)}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ClipStatistics:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError, ValueError, AttributeError: if ``document`` is not a value that `to_json`
                returns.
        """
        records, clips, frames = (dict(document[name].items()) for name in ("records", "clips", "frames"))
        lengths = {int(length): count for length, count in document["lengths"].items()}
        for counts in (records, clips, frames, lengths):
            if any(type(count) is not int for count in counts.values()):
                raise TypeError("a count is not a whole number")
        return cls(records, clips, frames, lengths)


def _add(one: Mapping[Any, int], other: Mapping[Any, int]) -> dict[Any, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}
