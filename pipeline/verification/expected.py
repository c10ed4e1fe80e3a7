"""What a shard should hold: records made by a pure definition, or digests kept at generation."""

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

# Records behind a stretch of damage are looked for so far from where they may be.
MAX_LOST_RECORDS = 1024
# Expected records are made in pieces of about this size.
_PIECE_BYTES = 2**20


class Expected(ABC):
    """The records that a shard should hold."""

    @abstractmethod
    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """How many records, from a number on, come next with the very bytes expected; and these bytes.

        Args:
            number: in the shard, from 0.
            peek: gives the next bytes of the file, fewer at its end.
        """

    @abstractmethod
    def contents(self, first: int, count: int) -> list[bytes]:
        """Contents of examples by their number in the shard, as many of them as it has."""

    def places(self, content: bytes, low: int, high: int) -> list[int]:
        """Numbers in the shard, ``low`` .. ``high - 1``, where an example of this content is expected."""
        pieces = range(low // MAX_LOST_RECORDS, (high - 1) // MAX_LOST_RECORDS + 1)
        return [
            number
            for piece in pieces
            for number in self._numbers(piece).get(content, ())
            if low <= number < high
        ]

    def __init__(self) -> None:
        self._numbers = lru_cache(4)(self._index)

    def _index(self, piece: int) -> dict[bytes, list[int]]:
        """Numbers in the shard by the content that is expected there."""
        first = piece * MAX_LOST_RECORDS
        numbers: dict[bytes, list[int]] = {}
        for number, content in enumerate(self.contents(first, MAX_LOST_RECORDS), first):
            numbers.setdefault(content, []).append(number)
        return numbers


class DefinedRecords(Expected):
    """Records as a pure definition makes them.

    Args:
        definition: of the data set.
        shard: which one.
    """

    def __init__(self, definition: Definition, shard: Shard) -> None:
        super().__init__()
        self._definition, self._shard = definition, shard
        self._per_piece = max(1, min(_PIECE_BYTES // definition.record_bytes, MAX_LOST_RECORDS))
        self._encoded = lru_cache(1)(self._encode)

    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """See `Expected.common_records`."""
        piece, place = divmod(number, self._per_piece)
        content, starts = self._encoded(piece)
        low, step, count = place, 1, len(starts) - 1

        def is_same(first: int, stop: int) -> bool:
            begin, end = starts[first], starts[stop]
            return peek(end - starts[place])[begin - starts[place] :] == content[begin:end]

        # Ever more at once; where they differ, half and half again.
        while low < count and is_same(low, high := min(low + step, count)):
            low, step = high, 8 * step
        while low < count and step > 1:
            step //= 2
            if low + step <= count and is_same(low, low + step):
                low += step
        return (low - place, content[starts[place] : starts[low]]) if low > place else (0, b"")

    def contents(self, first: int, count: int) -> list[bytes]:
        """See `Expected.contents`."""
        blocks = self._definition.blocks(self._shard.split, *self._range(first, count))
        return [content.tobytes() for block in blocks for content in block.contents]

    def _encode(self, piece: int) -> tuple[bytes, list[int]]:
        """Framed records of a piece, and where each starts, and where the last one ends."""
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
        """Numbers in the shard as (first, count) in the split, no more than the shard has."""
        shard = self._shard
        return shard.first_sequence + first, max(0, min(count, shard.num_sequences - first))


class KeptDigests(Expected):
    """Records of which only the digests are known.

    Args:
        kept: uint8 (n, 32): contents of the shard's examples, in order.
    """

    def __init__(self, kept: Contents) -> None:
        super().__init__()
        self.kept = kept

    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """None: the bytes of the records are not known."""
        return 0, b""

    def contents(self, first: int, count: int) -> list[bytes]:
        """See `Expected.contents`."""
        return [content.tobytes() for content in self.kept[first : first + count]]


def expected_records(
    definition: Definition, listed: tuple[Shard, ShardEntry], read_digests: Callable[[], bytes]
) -> Expected:
    """The records that a shard should hold.

    Args:
        definition: of the data set.
        listed: the shard, and what the manifest says of it.
        read_digests: reads the file with the digests of the shard's records; called if the kind is not pure.

    Raises:
        ValueError: if that file is not as the manifest says.
    """
    shard, entry = listed
    if definition.is_pure:
        return DefinedRecords(definition, shard)
    content = read_digests()
    if hashlib.sha256(content).hexdigest() != entry.digests_sha256:
        raise ValueError("is not as the manifest says")
    return KeptDigests(np.frombuffer(content, np.uint8).reshape(shard.num_sequences, -1))
