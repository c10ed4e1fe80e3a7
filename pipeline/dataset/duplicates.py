"""Counts examples that occur more than once, within a split or in two splits, in constant memory.

The content of every example is reduced to a 64-bit hash. The hashes of a shard are written to a file as
sorted runs. Then the interval of all hashes is divided into ranges of 2**18 to 2**22 hashes each, and
duplicates are counted in one range at a time, from all runs. Two different contents share a hash with
probability 2**-64, so the expected number of false duplicates among n examples is n**2 / 2**65: 0.00003 for
32 million, 1 for 6 billion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.dataset.content_digest import Contents
from pipeline.storage import files

Uint64Array = npt.NDArray[np.uint64]

HASH_BYTES = 8
HASHES_PER_RUN = 2**18
# Fewest and most hashes in a range. Each range opens the files of all shards, so a large data set has larger
# ranges instead of more of them.
_HASHES_PER_RANGE = (2**18, 2**22)
_RANGES_BEFORE_LARGER = 256

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@dataclass(frozen=True)
class Duplicates:
    """Numbers of examples that occur more than once.

    Attributes:
        within: by split, the number of its examples that equal an earlier example of the split.
        across: by pair (earlier split, later split), the number of the later split's examples that also occur
            in the earlier split.
    """

    within: dict[str, int]
    across: dict[tuple[str, str], int]

    @classmethod
    def zero(cls, splits: Iterable[str]) -> Duplicates:
        """Counts of 0 for splits of these names, in the definition's order."""
        splits = tuple(splits)
        return cls(dict.fromkeys(splits, 0), dict.fromkeys(combinations(splits, 2), 0))

    def __add__(self, other: Duplicates) -> Duplicates:
        return Duplicates(
            {split: count + other.within[split] for split, count in self.within.items()},
            {pair: count + other.across[pair] for pair, count in self.across.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """The counts as the manifest stores them; a pair's key is ``LATER_in_EARLIER``."""
        across = {f"{later}_in_{earlier}": count for (earlier, later), count in self.across.items()}
        return {"within": self.within, "across": across}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Duplicates:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError: if ``data`` is not a value that `to_json` returns.
        """
        within = dict(data["within"])
        across = {
            (earlier, later): data["across"][name]
            for earlier, later in permutations(within, 2)
            if (name := f"{later}_in_{earlier}") in data["across"]
        }
        if any(type(count) is not int for count in (*within.values(), *across.values())):
            raise TypeError("a count is not a whole number")
        return cls(within, across)


def content_hashes(contents: Contents) -> Uint64Array:
    """Hash contents, uint8 (n, bytes of a content), to uint64 (n,)."""
    count, size = contents.shape
    padded = np.zeros((count, -(-size // 8) * 8), np.uint8)
    padded[:, :size] = contents
    hashes = np.zeros(count, np.uint64)
    # Each round is a bijection of the word (and of the hash before it), so contents that differ in only one
    # word never collide.
    for word in padded.view("<u8").T:
        hashes ^= word
        hashes *= _MULTIPLIER
        hashes ^= hashes >> _SHIFT
    return hashes * _MULTIPLIER


class HashWriter:
    """Writes hashes to a stream as sorted runs; use it as a context manager."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._pending: list[Uint64Array] = []
        self._count = 0

    def __enter__(self) -> HashWriter:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if error_type is None:
            self._write_run()

    def add(self, contents: Contents) -> None:
        """Hash the contents, uint8 (n, bytes of a content). All hashes of a call go to the same run."""
        if self._count + len(contents) > HASHES_PER_RUN:
            self._write_run()
        self._pending.append(content_hashes(contents))
        self._count += len(contents)

    def _write_run(self) -> None:
        if self._pending:
            run = np.concatenate(self._pending)
            run.sort()
            for part in (np.array([len(run)], "<u8"), run.astype("<u8", copy=False)):
                content = part.tobytes()
                self._stream.write(content)
                self._digest.update(content)
        self._pending, self._count = [], 0

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of all bytes written; read it after the ``with`` block."""
        return self._digest.hexdigest()


def num_ranges(num_examples: int) -> int:
    """Number of ranges for the hashes of a data set of ``num_examples``."""
    fewest, most = _HASHES_PER_RANGE
    per_range = min(max(fewest, num_examples // _RANGES_BEFORE_LARGER), most)
    return max(1, -(-num_examples // per_range))


def count_in_range(paths: Mapping[str, Sequence[str]], index: int, ranges: int) -> Duplicates:
    """Count the duplicates among the hashes of one range.

    Args:
        paths: by split, the files that `HashWriter` wrote.
        index: number of the range, from 0.
        ranges: number of ranges.

    Raises:
        OSError: if a file cannot be read.
    """
    low = -(-index * 2**64 // ranges)
    high = -(-(index + 1) * 2**64 // ranges) - 1
    hashes, distinct = {}, {}
    for split, of_split in paths.items():
        found = np.concatenate([_in_range(run, low, high) for path in of_split for run in _runs(path)])
        found.sort()
        hashes[split] = found
        distinct[split] = found[np.concatenate([[True], found[1:] != found[:-1]])[: len(found)]]
    return Duplicates(
        {split: len(hashes[split]) - len(distinct[split]) for split in paths},
        {
            (earlier, later): _count_members(hashes[later], distinct[earlier])
            for earlier, later in combinations(paths, 2)
        },
    )


def _runs(path: str) -> Iterator[Uint64Array]:
    content: Uint64Array
    if files.is_local(path):  # Reads only the pages that the range needs.
        content = np.memmap(path, "<u8", mode="r")
    else:
        content = np.frombuffer(files.read_bytes(path), "<u8")
    start = 0
    while start < len(content):
        count = int(content[start])
        yield content[start + 1 : start + 1 + count]
        start += 1 + count


def _in_range(run: Uint64Array, low: int, high: int) -> Uint64Array:
    first = np.searchsorted(run, np.uint64(low), "left")
    return np.array(run[first : np.searchsorted(run, np.uint64(high), "right")], np.uint64)


def _count_members(values: Uint64Array, ordered: Uint64Array) -> int:
    """Number of values that occur in the sorted array; ten times as fast as `np.isin` for 64-bit values."""
    found = np.searchsorted(ordered, values, "right") - np.searchsorted(ordered, values, "left")
    return int(found.sum())
