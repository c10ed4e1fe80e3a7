"""Finds clips that show the same: with equal frames, or with perceptual hashes that differ in a few bits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from pipeline.clips.index import Entry

# Of 256 bits, those of four frames. With at most 15 different bits, at least one of 16 words of 16 bits is
# the same, so that comparing clips with a common word finds all pairs.
_MOST_DIFFERENT = 15
_WORDS, _WORD_BITS = 16, 16
# Clips with one word in common are compared pair by pair; more than this many only with their neighbours.
_MOST_PER_WORD = 200


@dataclass(frozen=True)
class Pair:
    """Two clips that show the same.

    Attributes:
        first, second: names of the clips.
        splits: their splits.
        is_exact: whether all chosen frames are equal.
    """

    first: str
    second: str
    splits: tuple[str, str]
    is_exact: bool

    @property
    def crosses(self) -> bool:
        """Whether the clips are in two splits."""
        return self.splits[0] != self.splits[1]

    def __str__(self) -> str:
        how = "shows the same frames as" if self.is_exact else "looks like"
        return f"{self.second} ({self.splits[1]}) {how} {self.first} ({self.splits[0]})"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a clip: its name, split, digest of frames, and hashes as one number."""

    name: str
    split: str
    frames: bytes
    number: int | None

    @classmethod
    def of(cls, entry: Entry) -> _Seen:
        number = 0
        for each in entry.hashes:
            if each is None:  # A frame without contrast looks like any other.
                return cls(
                    entry.source.name, entry.source.split or "", bytes.fromhex(entry.frames_sha256), None
                )
            number = number << 64 | each
        return cls(entry.source.name, entry.source.split or "", bytes.fromhex(entry.frames_sha256), number)


def find_pairs(entries: Iterable[Entry]) -> list[Pair]:
    """Pairs of clips that show the same, sorted: of equal ones each with the first, of others each pair once.

    Args:
        entries: clips with their splits, sorted by name; those that are not used are left out.
    """
    first_of: dict[bytes, _Seen] = {}
    pairs, distinct = [], []
    for seen in (_Seen.of(entry) for entry in entries if entry.records):
        first = first_of.setdefault(seen.frames, seen)
        if first is seen:
            distinct.append(seen)
        else:
            pairs.append(_pair(first, seen, True))
    numbers = {place: seen.number for place, seen in enumerate(distinct) if seen.number is not None}
    return [*pairs, *(_pair(distinct[one], distinct[two], False) for one, two in sorted(_near(numbers)))]


def _pair(first: _Seen, second: _Seen, is_exact: bool) -> Pair:
    return Pair(first.name, second.name, (first.split, second.split), is_exact)


def _near(numbers: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    found = set()
    for word in range(_WORDS):
        common = defaultdict(list)
        for place, number in numbers.items():
            common[number >> word * _WORD_BITS & 2**_WORD_BITS - 1].append(place)
        for places in common.values():
            if len(places) > _MOST_PER_WORD:
                places.sort(key=lambda place: numbers[place])
                candidates: Iterable[tuple[int, int]] = pairwise(places)
            else:
                candidates = combinations(places, 2)
            for one, two in candidates:
                if (numbers[one] ^ numbers[two]).bit_count() <= _MOST_DIFFERENT:
                    found.add((min(one, two), max(one, two)))
    yield from found
