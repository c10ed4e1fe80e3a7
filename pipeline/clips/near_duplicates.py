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


def find_pairs(entries: Iterable[Entry]) -> list[Pair]:
    """Pairs of clips that show the same, sorted: of equal ones each with the first, of others each pair once.

    Args:
        entries: clips that are used, with their splits, sorted by name.
    """
    used = [entry for entry in entries if entry.records]
    first_of: dict[str, Entry] = {}
    pairs, distinct = [], []
    for entry in used:
        first = first_of.setdefault(entry.frames_sha256, entry)
        if first is entry:
            distinct.append(entry)
        else:
            pairs.append(_pair(first, entry, True))
    numbers = {
        place: number for place, entry in enumerate(distinct) if (number := _number(entry)) is not None
    }
    pairs += [_pair(distinct[one], distinct[two], False) for one, two in sorted(_near(numbers))]
    return pairs


def _pair(first: Entry, second: Entry, is_exact: bool) -> Pair:
    splits = first.source.split or "", second.source.split or ""
    return Pair(first.source.name, second.source.name, splits, is_exact)


def _number(entry: Entry) -> int | None:
    """The hashes of a clip as one number; None if a frame has no contrast."""
    number = 0
    for each in entry.hashes:
        if each is None:
            return None
        number = number << 64 | each
    return number


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
