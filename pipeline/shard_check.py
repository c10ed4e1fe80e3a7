"""Checks every byte of a shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, cast

from pipeline import files
from pipeline.content import SEQUENCES_PER_LEAF, blocks
from pipeline.duplicates import HashWriter
from pipeline.encodings import ENCODINGS
from pipeline.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.manifest import ShardRecord
from pipeline.problems import Problem, as_defined, find_problems
from pipeline.program import one_line
from pipeline.settings import DatasetSettings, Shard
from pipeline.summary import ShardSummary, Summarizer

_READ_BYTES = 2**20
# A shard that lost its rhythm can have a problem a record: the first ones tell enough.
MAX_PROBLEMS_PER_SHARD = 20


@dataclass(frozen=True)
class ShardCheck:
    """What was found.

    Attributes:
        problems: in the order of the file, at most `MAX_PROBLEMS_PER_SHARD`; none if the shard is whole.
        summary: of its sequences; None if there are problems.
    """

    problems: tuple[Problem, ...]
    summary: ShardSummary | None


class _UnreadableError(Exception):
    """A file's bytes cannot be had; the message is the system's reason."""


class _Reader:
    """Reads a file, counting and digesting what is read; use it as a context manager.

    Raises:
        _UnreadableError: where the file cannot be opened or read.
    """

    def __init__(self, path: str) -> None:
        self._digest = hashlib.sha256()
        self.num_bytes = 0
        with _unreadable():
            self._stream = files.open_binary(path)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, count: int) -> bytes:
        with _unreadable():
            content = self._stream.read(count)
        self._digest.update(content)
        self.num_bytes += len(content)
        return content

    def skip(self, count: int) -> None:
        """Pass over bytes, on any file system."""
        while count > 0 and (block := self.read(min(count, _READ_BYTES))):
            count -= len(block)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _UnreadableError(error.strerror or one_line(error)) from error


# (reader, shard, settings, first, count) -> paths and labels of the next records; ValueError if one is odd.
ReadBlock = Callable[[_Reader, Shard, DatasetSettings, int, int], tuple[Uint8Array, Int64Array]]


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

    Raises:
        OSError: if the hashes cannot be written.
    """
    shard, record = listed
    path = files.join(directory, record.file)
    if not files.exists(path):
        return ShardCheck((Problem(record.file, "is missing"),), None)
    try:
        good = offset = 0
        for read_block in (_read_quickly, _read_carefully):
            with _Reader(path) as reader, _hash_writer(hashes_directory, shard) as hashes:
                summarizer = Summarizer(settings, shard, hashes)
                good, offset = _read_good(reader, read_block, shard, settings, summarizer)
                whole = good == shard.num_sequences and not reader.read(1)
            if whole and reader.sha256 == record.sha256:
                return ShardCheck((), summarizer.summary())
        with _Reader(path) as reader:
            reader.skip(offset)
            problems = find_problems(cast(BinaryIO, reader), shard, record, settings, good, offset)
            return ShardCheck(tuple(islice(problems, MAX_PROBLEMS_PER_SHARD)), None)
    except _UnreadableError as error:
        return ShardCheck((Problem(record.file, f"cannot be read ({error})"),), None)


@contextmanager
def _hash_writer(directory: str, shard: Shard) -> Iterator[HashWriter]:
    try:
        with open(os.path.join(directory, shard.file_name), "wb") as stream, HashWriter(stream) as hashes:
            yield hashes
    except OSError as error:
        reason = f"{error.strerror} (temporary files; TMPDIR names another place for them)"
        raise OSError(error.errno, reason, directory) from error


def _read_good(
    reader: _Reader, read_block: ReadBlock, shard: Shard, settings: DatasetSettings, summarizer: Summarizer
) -> tuple[int, int]:
    """Sum up a shard until the first block that cannot be read: how many records and bytes lie before it."""
    good = offset = 0
    for first, count in blocks(shard.first_sequence, shard.num_sequences):
        try:
            paths, labels = read_block(reader, shard, settings, first, count)
        except ValueError:
            break
        summarizer.add(paths, labels)
        good, offset = good + count, reader.num_bytes
    return good, offset


def _read_quickly(
    reader: _Reader, shard: Shard, settings: DatasetSettings, first: int, count: int
) -> tuple[Uint8Array, Int64Array]:
    """The next ``count`` records, which should be sequences ``first`` and following, if nothing is odd.

    Paths are read and checked as arrays; whether they are the right ones is for the manifest's digest to
    tell. Frames take long to decompress: their records are compared with what this program would write.
    """
    encoding = ENCODINGS[settings.encoding]
    # A leaf that begins in the shard before is digested there, what lies here being taken as defined.
    is_digested = first % SEQUENCES_PER_LEAF == 0
    if encoding.record_bytes(settings.image_size) is not None and is_digested:
        return encoding.read_block(cast(BinaryIO, reader), count, settings.image_size)
    paths, labels = sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
    expected = encoding.encode(paths, labels)
    if reader.read(len(expected)) != expected:
        raise ValueError("not the bytes that this program would write")
    return paths, labels


def _read_carefully(
    reader: _Reader, shard: Shard, settings: DatasetSettings, first: int, count: int
) -> tuple[Uint8Array, Int64Array]:
    """The same, if they decode to the right sequences, whatever program wrote them."""
    encoding = ENCODINGS[settings.encoding]
    paths, labels = encoding.read_block(cast(BinaryIO, reader), count, settings.image_size)
    if not as_defined(paths, labels, shard, settings, first).all():
        raise ValueError("not the sequences that the settings define")
    return paths, labels
