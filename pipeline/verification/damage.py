"""Problems of a data set, and a record-by-record comparison that finds those of a damaged shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from pipeline.command_line.errors import one_line
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.storage.record_scan import Damage, RecordScanner
from pipeline.storage.tfrecord import frame_record
from pipeline.verification.expected import MAX_LOST_RECORDS, ExpectedRecords

# After damage, this many correct records in a row confirm their numbers: chance is excluded even for the
# smallest images, which have only eight different sequences.
_RECORDS_TO_BE_SURE = 32


@dataclass(frozen=True)
class Problem:
    """One problem of a data set.

    Attributes:
        file: file name in the data set's directory.
        reason: what is wrong.
        record: number of the record in the file, from 0; None if the problem is not one record's.
        offset_bytes: offset of the record in the file.
    """

    file: str
    reason: str
    record: int | None = None
    offset_bytes: int | None = None

    def __str__(self) -> str:
        where = "" if self.record is None else f" record {self.record} at byte {self.offset_bytes}:"
        return f"{self.file}:{where} {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """The problem as the report of a verification stores it."""
        return asdict(self)


@dataclass(frozen=True)
class Classified:
    """Correct records of a shard, or one wrong record, or a stretch of damage.

    Attributes:
        record: number of the first record in the file, from 0.
        offset_bytes: offset of that record in the file.
        reason: what is wrong; None if the records hold the expected examples.
        num_records: number of records; 1 unless they are correct.
        content: the records with their framing; empty for damage.
    """

    record: int
    offset_bytes: int
    reason: str | None
    num_records: int = 1
    content: bytes = b""


def find_problems(
    stream: BinaryIO,
    listed: tuple[Shard, ShardEntry],
    definition: Definition,
    expected: ExpectedRecords,
    first_record: int,
    offset_bytes: int,
) -> Iterator[Problem]:
    """Yield all problems of a shard's records, and a problem if there are too few records.

    Args:
        stream: the shard, positioned at the start of a record.
        listed: the shard and its entry in the manifest.
        definition: definition of the data set.
        expected: the records that the shard should hold.
        first_record: number of the record at the stream's position; all records before it are correct.
        offset_bytes: offset of that record in the file.
    """
    shard, entry = listed
    found, good = False, first_record
    for item in classify_records(stream, listed, definition, expected, first_record, offset_bytes):
        if item.reason is None:
            good += item.num_records
        else:
            found = True
            yield Problem(entry.file, item.reason, item.record, item.offset_bytes)
    if not found and good < shard.num_sequences:
        yield Problem(entry.file, f"has {good} records, the manifest says {shard.num_sequences}")


def classify_records(
    stream: BinaryIO,
    listed: tuple[Shard, ShardEntry],
    definition: Definition,
    expected: ExpectedRecords,
    first_record: int = 0,
    offset_bytes: int = 0,
) -> Iterator[Classified]:
    """Compare the records of a shard with the expected ones; continue after damage.

    The number of records lost in a stretch of damage is estimated from its size. The next undamaged record
    gives the exact number: its content is searched among the expected ones, up to `MAX_LOST_RECORDS` after
    the first lost record and up to `MAX_LOST_RECORDS` around the estimate.

    Args:
        stream: the shard, positioned at the start of a record.
        listed: the shard and its entry in the manifest.
        definition: definition of the data set.
        expected: the records that the shard should hold.
        first_record: number of the record at the stream's position.
        offset_bytes: offset of that record in the file.

    Yields:
        Records and stretches of damage, in the order of the file.
    """
    shard, entry = listed
    scanner = RecordScanner(stream, entry.num_bytes / entry.num_sequences, first_record, offset_bytes)
    # Number of the first lost record, until a record after the damage is recognised. Then it is kept in
    # `unsure` until enough correct records follow: if one does not match before, the search is repeated.
    first_lost: int | None = None
    unsure: int | None = None
    num_right = 0  # Correct records since that record.
    while True:
        number, offset = scanner.record, scanner.offset_bytes
        if first_lost is None:
            count, records = expected.common_records(number, scanner.peek)
            if count:
                num_right += count
                unsure = None if num_right >= _RECORDS_TO_BE_SURE else unsure
                scanner.skip_records(count, len(records))
                yield Classified(number, offset, None, count, records)
                continue
        item = scanner.next()
        if item is None:
            return
        if isinstance(item, Damage):
            first_lost = number if first_lost is None else first_lost
            yield Classified(number, offset, item.reason)
            continue
        try:
            content = definition.content(item.payload)
        except ValueError as error:
            first_lost = number if first_lost is None else first_lost
            yield Classified(number, offset, one_line(error))
            continue
        places = expected.places(content, number, number + 1)
        if not places and first_lost is None:
            first_lost, unsure = unsure, None
        if not places and first_lost is not None:
            for guess in (number, first_lost):
                low = max(first_lost, guess - MAX_LOST_RECORDS)
                places = places or expected.places(content, low, guess + MAX_LOST_RECORDS)
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
        yield Classified(number, offset, reason, 1, frame_record(item.payload))
