"""What can be wrong in a data set, and a close look at a shard that says which record and why."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, BinaryIO

from pipeline.command_line.errors import one_line
from pipeline.dataset.manifest import ShardRecord
from pipeline.dataset.shard_plan import DatasetSettings, Shard, estimated_record_bytes
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.storage.record_scan import Damage, RecordScanner
from pipeline.storage.tfrecord import FOOTER_BYTES, HEADER_BYTES, frame_record

# Records behind a stretch of damage are looked for so far from where they may be.
_MAX_LOST_RECORDS = 1024
# So many right ones in a row are no chance, even of the smallest images, which have eight sequences.
_RECORDS_TO_BE_SURE = 32
# Expected records are encoded in pieces of about this size.
_BYTES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Problem:
    """Something wrong in a data set.

    Attributes:
        file: name of the file in the data set's directory.
        reason: what is wrong.
        record: number of the record in the file, from 0; None if the file as a whole is wrong.
        offset_bytes: where the record starts in the file.
    """

    file: str
    reason: str
    record: int | None = None
    offset_bytes: int | None = None

    def __str__(self) -> str:
        where = "" if self.record is None else f" record {self.record} at byte {self.offset_bytes}:"
        return f"{self.file}:{where} {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """As it stands in the report of a verification."""
        return asdict(self)


def find_problems(
    stream: BinaryIO,
    shard: Shard,
    record: ShardRecord,
    settings: DatasetSettings,
    first_record: int,
    offset_bytes: int,
) -> Iterator[Problem]:
    """All problems of a shard's records and their number.

    Args:
        stream: the shard, at the start of a record.
        shard: which sequences it should hold.
        record: what the manifest says of it.
        settings: of the data set.
        first_record, offset_bytes: number and place of the record where the stream stands; nothing is wrong
            with those before it.
    """
    found, good = False, first_record
    for item in examine(stream, shard, record, settings, first_record, offset_bytes):
        if item.reason is None:
            good += item.num_records
        else:
            found = True
            yield Problem(record.file, item.reason, item.record, item.offset_bytes)
    if not found and good < shard.num_sequences:
        yield Problem(record.file, f"has {good} records, the manifest says {shard.num_sequences}")


@dataclass(frozen=True)
class Examined:
    """Records of a shard, or a stretch of damage.

    Attributes:
        record: number of the first one in the file, from 0.
        offset_bytes: where it starts in the file.
        reason: what is wrong with it; None if these are the sequences that they should be.
        num_records: how many they are; more than one only if nothing is wrong with any.
        content: the records, with their framing; empty for damage.
    """

    record: int
    offset_bytes: int
    reason: str | None
    num_records: int = 1
    content: bytes = b""


def examine(
    stream: BinaryIO,
    shard: Shard,
    record: ShardRecord,
    settings: DatasetSettings,
    first_record: int = 0,
    offset_bytes: int = 0,
) -> Iterator[Examined]:
    """Compare a shard with the definition, and go on behind damage.

    How many records were lost in a stretch of damage is guessed by its size. The next whole ones tell by
    their sequences, if these are within `_MAX_LOST_RECORDS` of the guess or of where the damage began.

    Args:
        stream: the shard, at the start of a record.
        shard: which sequences it should hold.
        record: what the manifest says of it.
        settings: of the data set.
        first_record, offset_bytes: number and place of the record where the stream stands.
    """
    encoding = ENCODINGS[settings.encoding]
    scanner = RecordScanner(stream, record.num_bytes / record.num_sequences, first_record, offset_bytes)
    expected = _Expected(shard, settings)
    # Where damage began, until a record behind it is recognised; in `unsure`, until that cannot be chance.
    first_lost: int | None = None
    unsure: int | None = None
    num_right = 0
    while True:
        number, offset = scanner.record, scanner.offset_bytes
        if first_lost is None:
            count, content = expected.common_records(number, scanner.peek)
            if count:
                num_right += count
                unsure = None if num_right >= _RECORDS_TO_BE_SURE else unsure
                scanner.pass_over(count, len(content))
                yield Examined(number, offset, None, count, content)
                continue
        item = scanner.next()
        if item is None:
            return
        if isinstance(item, Damage):
            first_lost = number if first_lost is None else first_lost
            yield Examined(number, offset, item.reason)
            continue
        try:
            path, label = encoding.decode_record(item.payload, settings.image_size)
        except ValueError as error:
            first_lost = number if first_lost is None else first_lost
            yield Examined(number, offset, one_line(error))
            continue
        places = expected.places(path, label, number, number + 1)
        if not places and first_lost is None:
            first_lost, unsure = unsure, None
        if not places and first_lost is not None:
            for guess in (number, first_lost):
                low = max(first_lost, guess - _MAX_LOST_RECORDS)
                places = places or expected.places(path, label, low, guess + _MAX_LOST_RECORDS)
        if places:
            number = places[0]
            if first_lost is not None:
                unsure, first_lost, num_right = first_lost, None, 0
            num_right += 1
            scanner.record = number + 1
        reason = None
        if number >= shard.num_sequences:
            reason = f"is one too many: the manifest says {shard.num_sequences} records"
        elif not places:
            reason = f"is not sequence {shard.first_sequence + number} of split {shard.split}"
        yield Examined(number, offset, reason, 1, frame_record(item.payload))


class _Expected:
    """What a shard should hold, sampled and encoded piece by piece."""

    def __init__(self, shard: Shard, settings: DatasetSettings) -> None:
        self._shard, self._settings = shard, settings
        at_once = _BYTES_AT_ONCE // estimated_record_bytes(settings)
        self._records_at_once = max(1, min(at_once, _MAX_LOST_RECORDS))
        self._encoded = lru_cache(1)(self._encode)
        self._numbers = lru_cache(4)(self._index)

    def common_records(self, number: int, peek: Callable[[int], bytes]) -> tuple[int, bytes]:
        """How many records, from a number on, come next with the very bytes expected; and these bytes.

        Args:
            number: in the shard, from 0.
            peek: gives the next bytes of the file, fewer at its end.
        """
        piece, place = divmod(number, self._records_at_once)
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

    def places(self, path: Uint8Array, label: int, low: int, high: int) -> list[int]:
        """Numbers in the shard, ``low`` .. ``high - 1``, where a sequence is expected."""
        key = path.tobytes(), label
        pieces = range(low // _MAX_LOST_RECORDS, (high - 1) // _MAX_LOST_RECORDS + 1)
        return [
            number for piece in pieces for number in self._numbers(piece).get(key, ()) if low <= number < high
        ]

    def _sample(self, first: int, count: int) -> tuple[Uint8Array, Int64Array]:
        """Sequences by their number in the shard, as many of them as it has."""
        shard, settings = self._shard, self._settings
        count = max(0, min(count, shard.num_sequences - first))
        return sample_sequences(
            settings.seed, shard.split, settings.image_size, shard.first_sequence + first, count
        )

    def _encode(self, piece: int) -> tuple[bytes, list[int]]:
        """Framed records of a piece, and where each starts, and where the last one ends."""
        paths, labels = self._sample(piece * self._records_at_once, self._records_at_once)
        content = ENCODINGS[self._settings.encoding].encode(paths, labels) if len(paths) else b""
        starts = [0]
        for _ in labels:
            (size,) = struct.unpack_from("<Q", content, starts[-1])
            starts.append(starts[-1] + HEADER_BYTES + size + FOOTER_BYTES)
        return content, starts

    def _index(self, piece: int) -> dict[tuple[bytes, int], list[int]]:
        """Numbers in the shard by the sequence that is expected there."""
        first = piece * _MAX_LOST_RECORDS
        numbers: dict[tuple[bytes, int], list[int]] = {}
        for number, (path, label) in enumerate(
            zip(*self._sample(first, _MAX_LOST_RECORDS), strict=True), first
        ):
            numbers.setdefault((path.tobytes(), int(label)), []).append(number)
        return numbers
