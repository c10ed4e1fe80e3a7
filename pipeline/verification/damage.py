"""What can be wrong in a data set, and a close look at a shard that says which record and why."""

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
from pipeline.verification.expected import MAX_LOST_RECORDS, Expected

# So many right ones in a row are no chance, even of the smallest images, which have eight sequences.
_RECORDS_TO_BE_SURE = 32


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


@dataclass(frozen=True)
class Classified:
    """Records of a shard, or a stretch of damage.

    Attributes:
        record: number of the first one in the file, from 0.
        offset_bytes: where it starts in the file.
        reason: what is wrong with it; None if these are the examples that they should be.
        num_records: how many they are; more than one only if nothing is wrong with any.
        content: the records, with their framing; empty for damage.
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
    expected: Expected,
    first_record: int,
    offset_bytes: int,
) -> Iterator[Problem]:
    """All problems of a shard's records and their number.

    Args:
        stream: the shard, at the start of a record.
        listed: which examples it should hold, and what the manifest says of it.
        definition: of the data set.
        expected: the shard's records.
        first_record, offset_bytes: number and place of the record where the stream stands; nothing is wrong
            with those before it.
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
    expected: Expected,
    first_record: int = 0,
    offset_bytes: int = 0,
) -> Iterator[Classified]:
    """Compare a shard with what is expected, and go on behind damage.

    How many records were lost in a stretch of damage is guessed by its size. The next whole ones tell by
    their contents, if these are within `MAX_LOST_RECORDS` of the guess or of where the damage began.

    Args:
        stream: the shard, at the start of a record.
        listed: which examples it should hold, and what the manifest says of it.
        definition: of the data set.
        expected: the shard's records.
        first_record, offset_bytes: number and place of the record where the stream stands.
    """
    shard, entry = listed
    scanner = RecordScanner(stream, entry.num_bytes / entry.num_sequences, first_record, offset_bytes)
    # Where damage began, until a record behind it is recognised; in `unsure`, until that cannot be chance.
    first_lost: int | None = None
    unsure: int | None = None
    num_right = 0
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
