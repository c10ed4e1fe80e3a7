"""What can be wrong in a data set, and a slow, close look at a shard that says which record and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.encodings import ENCODINGS
from pipeline.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.manifest import ShardRecord
from pipeline.program import one_line
from pipeline.record_scan import Damage, Record, scan_records
from pipeline.settings import DatasetSettings, Shard

_RECORDS_PER_LOOK = 4096


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


def as_defined(
    paths: Uint8Array, labels: Int64Array, shard: Shard, settings: DatasetSettings, first: int
) -> npt.NDArray[np.bool_]:
    """Which sequences, from number ``first`` on, are those that the settings define: bool (n,)."""
    expected = sample_sequences(settings.seed, shard.split, settings.image_size, first, len(paths))
    same: npt.NDArray[np.bool_] = (paths == expected[0]).all(axis=1) & (labels == expected[1])
    return same


def find_problems(
    stream: BinaryIO,
    shard: Shard,
    record: ShardRecord,
    settings: DatasetSettings,
    first_record: int,
    offset_bytes: int,
) -> Iterator[Problem]:
    """All problems of a shard whose bytes are not those that the manifest knows.

    Args:
        stream: the shard, at the start of a record.
        shard: which sequences it should hold.
        record: what the manifest says of it.
        settings: of the data set.
        first_record, offset_bytes: number and place of the record where the stream stands; nothing is wrong
            with those before it.
    """
    encoding = ENCODINGS[settings.encoding]
    scanned = scan_records(
        stream,
        encoding.record_bytes(settings.image_size),
        first_record=first_record,
        offset_bytes=offset_bytes,
    )
    found, good = False, first_record
    while items := list(islice(scanned, _RECORDS_PER_LOOK)):
        for item, reason in zip(items, _faults(items, shard, settings), strict=True):
            if reason is None:
                good += 1
            else:
                found = True
                yield Problem(record.file, reason, item.record, item.offset_bytes)
    if not found and good < shard.num_sequences:
        yield Problem(record.file, f"has {good} records, the manifest says {shard.num_sequences}")
    elif not found:
        yield Problem(
            record.file,
            "every sequence is right, but the bytes are not those that the manifest knows:"
            " another program or another zlib wrote them",
        )


def _faults(items: Sequence[Record | Damage], shard: Shard, settings: DatasetSettings) -> list[str | None]:
    """What is wrong with each of the records that follow each other; None where nothing is."""
    encoding = ENCODINGS[settings.encoding]
    faults: list[str | None] = [None] * len(items)
    paths = np.zeros((len(items), settings.image_size), np.uint8)
    labels = np.zeros(len(items), np.int64)
    for position, item in enumerate(items):
        if isinstance(item, Damage):
            faults[position] = item.reason
        elif item.record >= shard.num_sequences:
            faults[position] = f"is one too many: the manifest says {shard.num_sequences} records"
        else:
            try:
                paths[position], labels[position] = encoding.decode_record(item.payload, settings.image_size)
            except ValueError as error:
                faults[position] = one_line(error)
    readable = [position for position, fault in enumerate(faults) if fault is None]
    if readable:
        # Compared all at once: sampling sequences one by one would be slow.
        numbers = np.array([items[position].record for position in readable])
        first, count = shard.first_sequence + int(numbers[0]), int(numbers[-1] - numbers[0]) + 1
        expected = sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
        expected_paths, expected_labels = (part[numbers - numbers[0]] for part in expected)
        same = (paths[readable] == expected_paths).all(axis=1) & (labels[readable] == expected_labels)
        for position, number in zip(np.array(readable)[~same], numbers[~same], strict=True):
            faults[position] = f"is not sequence {shard.first_sequence + number} of split {shard.split}"
    return faults
