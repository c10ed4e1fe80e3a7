"""The records that a shard should hold: made again by a pure kind, else known by their stored digests."""

from __future__ import annotations

import hashlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from pipeline.dataset.content_digest import Contents
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.storage.tfrecord import FOOTER_BYTES, HEADER_BYTES

# How far from its estimated number a record after damage is searched for.
MAX_LOST_RECORDS = 1024
# Approximate size of the pieces in which expected records are made.
_PIECE_BYTES = 2**20


class ExpectedRecords(ABC):
    """The records that a shard should hold."""

    def __init__(self) -> None:
        self._numbers = lru_cache(4)(self._index)

    @abstractmethod
    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """The longest run of next records whose bytes equal the expected ones.

        Args:
            number: expected number of the next record in the shard, from 0.
            peek: returns the next bytes of the file, fewer at its end.

        Returns:
            The number of records, 0 if the next one differs, and their bytes. The run may end before the
            first difference, at the end of a piece of expected records.
        """

    @abstractmethod
    def contents(self, first: int, count: int) -> list[bytes]:
        """Contents of examples ``first`` .. ``first + count - 1`` of the shard, fewer at its end."""

    def places(self, content: bytes, low: int, high: int) -> list[int]:
        """Numbers in ``low`` .. ``high - 1`` at which the shard should hold an example of this content."""
        pieces = range(low // MAX_LOST_RECORDS, (high - 1) // MAX_LOST_RECORDS + 1)
        return [
            number
            for piece in pieces
            for number in self._numbers(piece).get(content, ())
            if low <= number < high
        ]

    def _index(self, piece: int) -> dict[bytes, list[int]]:
        """Numbers in the shard by expected content, for `MAX_LOST_RECORDS` examples."""
        first = piece * MAX_LOST_RECORDS
        numbers: dict[bytes, list[int]] = {}
        for number, content in enumerate(self.contents(first, MAX_LOST_RECORDS), first):
            numbers.setdefault(content, []).append(number)
        return numbers


class DefinedRecords(ExpectedRecords):
    """The records of a pure kind, which the definition makes again.

    Args:
        definition: definition of the data set.
        shard: the shard.
    """

    def __init__(self, definition: Definition, shard: Shard) -> None:
        super().__init__()
        self._definition, self._shard = definition, shard
        self._per_piece = max(1, min(_PIECE_BYTES // definition.record_bytes, MAX_LOST_RECORDS))
        self._encoded = lru_cache(1)(self._encode)

    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """See `ExpectedRecords.common_records`."""
        piece, place = divmod(number, self._per_piece)
        content, starts = self._encoded(piece)
        low, step, count = place, 1, len(starts) - 1

        def is_same(first: int, stop: int) -> bool:
            begin, end = starts[first], starts[stop]
            return peek(end - starts[place])[begin - starts[place] :] == content[begin:end]

        # Compare stretches of growing length; after a difference, halve the length down to one record.
        while low < count and is_same(low, high := min(low + step, count)):
            low, step = high, 8 * step
        while low < count and step > 1:
            step //= 2
            if low + step <= count and is_same(low, low + step):
                low += step
        return (low - place, content[starts[place] : starts[low]]) if low > place else (0, b"")

    def contents(self, first: int, count: int) -> list[bytes]:
        """See `ExpectedRecords.contents`."""
        blocks = self._definition.blocks(self._shard.split, *self._range(first, count))
        return [content.tobytes() for block in blocks for content in block.contents]

    def _encode(self, piece: int) -> tuple[bytes, list[int]]:
        """Framed records of a piece, and the offset of each in it, and the end of the last one."""
        first, count = self._range(piece * self._per_piece, self._per_piece)
        records = b"".join(
            block.records() for block in self._definition.blocks(self._shard.split, first, count)
        )
        starts = [0]
        while starts[-1] < len(records):
            (size,) = struct.unpack_from("<Q", records, starts[-1])
            starts.append(starts[-1] + HEADER_BYTES + size + FOOTER_BYTES)
        return records, starts

    def _range(self, first: int, count: int) -> tuple[int, int]:
        """(first, count) in the split of ``count`` examples from ``first`` in the shard, cut at its end."""
        shard = self._shard
        return shard.first_sequence + first, max(0, min(count, shard.num_sequences - first))


class StoredDigests(ExpectedRecords):
    """Records of a kind that is not pure, of which only the digests are known.

    Args:
        digests: uint8 (n, 32): contents of the shard's examples, in order.
    """

    def __init__(self, digests: Contents) -> None:
        super().__init__()
        self._digests = digests

    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """See `ExpectedRecords.common_records`; always 0 records, because their bytes are not known."""
        return 0, b""

    def contents(self, first: int, count: int) -> list[bytes]:
        """See `ExpectedRecords.contents`."""
        return [content.tobytes() for content in self._digests[first : first + count]]


def expected_records(
    definition: Definition, listed: tuple[Shard, ShardEntry], read_digests: Callable[[], bytes]
) -> ExpectedRecords:
    """The records that a shard should hold.

    Args:
        definition: definition of the data set.
        listed: the shard and its entry in the manifest.
        read_digests: reads the file with the digests of the shard's records; called only if the kind is not
            pure.

    Raises:
        ValueError: if the SHA-256 of that file is not the manifest's.
    """
    shard, entry = listed
    if definition.is_pure:
        return DefinedRecords(definition, shard)
    content = read_digests()
    if hashlib.sha256(content).hexdigest() != entry.digests_sha256:
        raise ValueError("is not as the manifest says")
    return StoredDigests(np.frombuffer(content, np.uint8).reshape(shard.num_sequences, -1))
