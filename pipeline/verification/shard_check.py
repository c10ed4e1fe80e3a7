"""Checks every byte of a shard."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, cast

from pipeline.command_line.errors import one_line
from pipeline.dataset.duplicates import HashWriter
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.generation.shard_summary import ShardSummary, Summarizer
from pipeline.storage import files
from pipeline.storage.tfrecord import FOOTER_BYTES, HEADER_BYTES, read_records
from pipeline.verification.damage import Problem, find_problems
from pipeline.verification.expected import ExpectedRecords, expected_records

_READ_BYTES = 2**20
# After inserted or lost bytes every later record may be reported: cap the list.
MAX_PROBLEMS_PER_SHARD = 20


@dataclass(frozen=True)
class ShardCheck:
    """Result of the check of one shard.

    Attributes:
        problems: in the order of the file, at most `MAX_PROBLEMS_PER_SHARD`; empty if the shard is correct.
        summary: summary of the shard's examples; None if there are problems.
    """

    problems: tuple[Problem, ...]
    summary: ShardSummary | None


class _UnreadableError(Exception):
    """A file cannot be opened or read; the message is the system's."""


class _Reader:
    """Reads a file, and counts and digests the bytes read; use it as a context manager.

    Raises:
        _UnreadableError: if the file cannot be opened; `read` and `skip` raise it, too.
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
        """Read up to ``count`` bytes, which are counted and digested, but not returned."""
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


def check_shard(
    listed: tuple[Shard, ShardEntry], definition: Definition, directory: str, hashes_directory: str
) -> ShardCheck:
    """Read every byte of a shard and compare its records with the expected ones.

    Args:
        listed: the shard and its entry in the manifest.
        definition: definition of the data set.
        directory: directory of the data set.
        hashes_directory: local directory for the hashes of the shard's contents, which are written to a file
            of the shard's name; see `pipeline.dataset.duplicates`.

    Raises:
        OSError: if the hashes cannot be written.
    """
    shard, entry = listed
    path = files.join(directory, entry.file)
    if not files.file_exists(path) and not files.directory_exists(path):
        return ShardCheck((Problem(entry.file, "is missing"),), None)
    expected, problems = _expected(listed, definition, directory)
    try:
        with _hash_writer(hashes_directory, shard) as hashes:
            summarizer = Summarizer(definition, shard, hashes)
            with _Reader(path) as reader:
                if definition.is_pure:
                    good, offset = _compare(reader, shard, definition, summarizer)
                else:
                    good, offset = _read(reader, definition, shard, expected, summarizer)
                is_whole = good == shard.num_sequences and not reader.read(1)
            if not is_whole or reader.sha256 != entry.sha256:
                problems += _find_problems(path, listed, definition, expected, good, offset)
                if problems:
                    return ShardCheck(problems, None)
                # The file has the manifest's digest, but another zlib has compressed these examples.
                first = shard.first_sequence + good
                for block in definition.blocks(shard.split, first, shard.num_sequences - good):
                    summarizer.add(block)
        return ShardCheck(problems, None if problems else summarizer.summary())
    except _UnreadableError as error:
        return ShardCheck((*problems, Problem(entry.file, f"cannot be read ({error})")), None)


def _expected(
    listed: tuple[Shard, ShardEntry], definition: Definition, directory: str
) -> tuple[ExpectedRecords | None, tuple[Problem, ...]]:
    """The records that the shard should hold; None and a problem if their digests' file is damaged."""
    name = listed[0].digests_name
    path = files.join(directory, name)
    try:
        return expected_records(definition, listed, lambda: files.read_bytes(path)), ()
    except (OSError, ValueError) as error:
        reason = one_line(error) if files.file_exists(path) else "is missing"
        return None, (Problem(name, reason),)


@contextmanager
def _hash_writer(directory: str, shard: Shard) -> Iterator[HashWriter]:
    try:
        with open(os.path.join(directory, shard.file_name), "wb") as stream, HashWriter(stream) as hashes:
            yield hashes
    except OSError as error:
        reason = f"{error.strerror} (temporary files; TMPDIR names another place for them)"
        raise OSError(error.errno, reason, directory) from error


def _compare(
    reader: _Reader, shard: Shard, definition: Definition, summarizer: Summarizer
) -> tuple[int, int]:
    """Compare a shard of a pure kind with the bytes that this program would write, block by block.

    Adds the equal blocks to the summary.

    Returns:
        Number of records, and of bytes, before the first block that differs.
    """
    good = offset = 0
    for block in definition.blocks(shard.split, shard.first_sequence, shard.num_sequences):
        records = block.records()
        if reader.read(len(records)) != records:
            break
        summarizer.add(block)
        good, offset = good + len(block.contents), offset + len(records)
    return good, offset


def _read(
    reader: _Reader,
    definition: Definition,
    shard: Shard,
    expected: ExpectedRecords | None,
    summarizer: Summarizer,
) -> tuple[int, int]:
    """Read the records of a shard and compare each with its digest, if ``expected`` is not None.

    Adds the correct records to the summary.

    Returns:
        Number of records, and of bytes, before the first record that is damaged or differs.
    """
    good = offset = 0
    with suppress(ValueError):
        for payload in islice(read_records(cast(BinaryIO, reader)), shard.num_sequences):
            content = definition.content(payload)
            if expected is not None and not expected.places(content, good, good + 1):
                break
            summarizer.add(definition.block_of(shard.first_sequence + good, [payload]))
            good, offset = good + 1, offset + HEADER_BYTES + len(payload) + FOOTER_BYTES
    return good, offset


def _find_problems(
    path: str,
    listed: tuple[Shard, ShardEntry],
    definition: Definition,
    expected: ExpectedRecords | None,
    good: int,
    offset: int,
) -> tuple[Problem, ...]:
    """The problems of a shard from record ``good`` on, at ``offset``; none if the file's digest matches."""
    entry = listed[1]
    problems: tuple[Problem, ...] = ()
    reason = "the bytes are not those that the manifest knows"
    with _Reader(path) as reader:
        if expected is None:
            reader.skip(sys.maxsize)
        else:
            reader.skip(offset)
            stream = cast(BinaryIO, reader)
            found = find_problems(stream, listed, definition, expected, good, offset)
            problems = tuple(islice(found, MAX_PROBLEMS_PER_SHARD))
            reason = f"every sequence is right, but {reason}: another program or another zlib wrote them"
        if not problems and reader.sha256 != entry.sha256:
            problems = (Problem(entry.file, reason),)
    return problems
