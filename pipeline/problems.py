"""What can be wrong in a data set, and a slow, close look at a shard that says which record and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.encodings import ENCODINGS
from pipeline.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.manifest import ShardRecord
from pipeline.program import one_line
from pipeline.record_scan import Damage, scan_records
from pipeline.settings import DatasetSettings, Shard

_RECORDS_PER_LOOK = 1024
# More than these are not looked for behind a stretch of damage.
_MAX_LOST_RECORDS = 1024


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
    found, good = False, first_record
    for item in examine(stream, shard, settings, first_record, offset_bytes):
        if item.reason is None:
            good += 1
        else:
            found = True
            yield Problem(record.file, item.reason, item.record, item.offset_bytes)
    if not found and good < shard.num_sequences:
        yield Problem(record.file, f"has {good} records, the manifest says {shard.num_sequences}")
    elif not found:
        yield Problem(
            record.file,
            "every sequence is right, but the bytes are not those that the manifest knows:"
            " another program or another zlib wrote them",
        )


@dataclass(frozen=True)
class Examined:
    """A record of a shard, or a stretch of damage.

    Attributes:
        record: its number in the file, from 0.
        offset_bytes: where it starts in the file.
        reason: what is wrong with it; None if it is the sequence that it should be.
        payload: of the record; empty for damage.
    """

    record: int
    offset_bytes: int
    reason: str | None
    payload: bytes = b""


def examine(
    stream: BinaryIO, shard: Shard, settings: DatasetSettings, first_record: int = 0, offset_bytes: int = 0
) -> Iterator[Examined]:
    """Look at a shard record by record, and go on behind damage.

    Args:
        stream: the shard, at the start of a record.
        shard: which sequences it should hold.
        settings: of the data set.
        first_record, offset_bytes: number and place of the record where the stream stands.
    """
    encoding = ENCODINGS[settings.encoding]
    record_bytes = encoding.record_bytes(settings.image_size)
    scanned = scan_records(stream, record_bytes, first_record=first_record, offset_bytes=offset_bytes)
    # How many records were lost in a stretch of damage is a guess; the next whole one tells by its sequence.
    correction, first_lost = 0, None
    while items := list(islice(scanned, _RECORDS_PER_LOOK)):
        # What is expected is sampled for many records at once: one by one would be slow.
        start = items[0].record + correction
        start = min(start if first_lost is None else first_lost, shard.num_sequences)
        stop = min(items[-1].record + correction + _MAX_LOST_RECORDS, shard.num_sequences)
        paths, labels = sample_sequences(
            settings.seed,
            shard.split,
            settings.image_size,
            shard.first_sequence + start,
            max(stop - start, 0),
        )
        for item in items:
            number = item.record + correction
            if isinstance(item, Damage):
                yield Examined(number, item.offset_bytes, item.reason)
                first_lost = number if first_lost is None else first_lost
                continue
            try:
                path, label = encoding.decode_record(item.payload, settings.image_size)
            except ValueError as error:
                yield Examined(number, item.offset_bytes, one_line(error))
                continue
            is_expected = _is_at(number - start, paths, labels, path, label)
            if first_lost is not None and not is_expected:
                lost = slice(first_lost - start, None)
                same = (paths[lost] == path).all(axis=1) & (labels[lost] == label)
                if is_expected := bool(same.any()):
                    number = first_lost + int(same.argmax())
            if is_expected:
                correction, first_lost = number - item.record, None
            reason = None
            if number >= shard.num_sequences:
                reason = f"is one too many: the manifest says {shard.num_sequences} records"
            elif not is_expected:
                reason = f"is not sequence {shard.first_sequence + number} of split {shard.split}"
            yield Examined(number, item.offset_bytes, reason, item.payload)


def _is_at(place: int, paths: Uint8Array, labels: Int64Array, path: Uint8Array, label: int) -> bool:
    return place < len(paths) and labels[place] == label and bool((paths[place] == path).all())
