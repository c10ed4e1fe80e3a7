"""Checks one shard: every byte of it, and, where something is wrong, which record and why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, BinaryIO, cast

import numpy as np

from pipeline import files
from pipeline.content import SEQUENCES_PER_LEAF, blocks
from pipeline.duplicates import HashWriter
from pipeline.encodings import ENCODINGS
from pipeline.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.manifest import ShardRecord
from pipeline.program import one_line
from pipeline.record_scan import Damage, Record, scan_records
from pipeline.settings import DatasetSettings, Shard
from pipeline.summary import ShardSummary, Summarizer

_READ_BYTES = 2**20
# A shard that lost its rhythm can have a problem a record: the first ones tell enough.
MAX_PROBLEMS_PER_SHARD = 20


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
class ShardCheck:
    """What was found.

    Attributes:
        problems: in the order of the file, at most `MAX_PROBLEMS_PER_SHARD`; none if the shard is whole.
        summary: of its sequences; None if there are problems.
    """

    problems: tuple[Problem, ...]
    summary: ShardSummary | None


def check_shard(
    listed: tuple[Shard, ShardRecord], settings: DatasetSettings, directory: str, hashes_directory: str
) -> ShardCheck:
    """Read a shard to its end.

    Args:
        listed: which sequences it should hold, and what the manifest says of it.
        settings: of the data set.
        directory: of the data set.
        hashes_directory: where the hashes of its sequences go, to a file of the shard's name; see
            `pipeline.duplicates`.
    """
    shard, record = listed
    hashes_path = os.path.join(hashes_directory, shard.file_name)
    path = files.join(directory, record.file)
    try:
        if not files.exists(path):
            return ShardCheck((Problem(record.file, "is missing"),), None)
        with files.open_binary(path) as stream, open(hashes_path, "wb") as hash_stream:
            reader = _Reader(stream)
            with HashWriter(hash_stream) as hashes:
                summarizer = Summarizer(settings, shard, hashes)
                good, offset = _read_good(reader, shard, settings, summarizer)
            if good == shard.num_sequences and not reader.read(1) and reader.sha256 == record.sha256:
                return ShardCheck((), summarizer.summary())
        if good == shard.num_sequences and offset == record.num_bytes:
            good = offset = 0  # Nothing is wrong with any record: so some are others than they should be.
        with files.open_binary(path) as stream:
            _skip(stream, offset)
            problems = _find_problems(stream, shard, record, settings, good, offset)
            return ShardCheck(tuple(islice(problems, MAX_PROBLEMS_PER_SHARD)), None)
    except OSError as error:
        reason = f"cannot be read ({error.strerror or one_line(error)})"
        return ShardCheck((Problem(record.file, reason),), None)


def _read_good(
    reader: _Reader, shard: Shard, settings: DatasetSettings, summarizer: Summarizer
) -> tuple[int, int]:
    """Read a shard up to the first block that is not whole: the records before it, and their bytes."""
    encoding = ENCODINGS[settings.encoding]
    good = offset = 0
    for first, count in blocks(shard.first_sequence, shard.num_sequences):
        try:
            paths, labels = encoding.read_block(cast(BinaryIO, reader), count, settings.image_size)
        except ValueError:
            break
        # Of a leaf that begins in the shard before, the digest is made there, from the definition.
        if first % SEQUENCES_PER_LEAF and not _as_defined(paths, labels, shard, settings, first).all():
            break
        summarizer.add(paths, labels)
        good, offset = good + count, reader.num_bytes
    return good, offset


def _find_problems(
    stream: BinaryIO,
    shard: Shard,
    record: ShardRecord,
    settings: DatasetSettings,
    first_record: int,
    offset_bytes: int,
) -> Iterator[Problem]:
    """All problems of a shard's bytes from a record on, before which there are none."""
    encoding = ENCODINGS[settings.encoding]
    scanned = scan_records(
        stream,
        encoding.record_bytes(settings.image_size),
        first_record=first_record,
        offset_bytes=offset_bytes,
    )
    found, good = False, first_record
    while items := list(islice(scanned, SEQUENCES_PER_LEAF)):
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


def _as_defined(
    paths: Uint8Array, labels: Int64Array, shard: Shard, settings: DatasetSettings, first: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which sequences, from number ``first`` on, are those that the settings define: bool (n,)."""
    expected = sample_sequences(settings.seed, shard.split, settings.image_size, first, len(paths))
    same: np.ndarray[Any, np.dtype[np.bool_]] = (paths == expected[0]).all(axis=1) & (labels == expected[1])
    return same


def _skip(stream: BinaryIO, count: int) -> None:
    """Pass over bytes, on any file system."""
    while count > 0 and (block := stream.read(min(count, _READ_BYTES))):
        count -= len(block)


class _Reader:
    """Reads a stream, counting and digesting what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.num_bytes = 0

    def read(self, count: int) -> bytes:
        content = self._stream.read(count)
        self._digest.update(content)
        self.num_bytes += len(content)
        return content

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
