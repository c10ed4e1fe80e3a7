"""Checks every byte of a shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, cast

from pipeline.command_line.errors import one_line
from pipeline.dataset.content_digest import blocks
from pipeline.dataset.duplicates import HashWriter
from pipeline.dataset.manifest import ShardRecord
from pipeline.dataset.shard_plan import DatasetSettings, Shard
from pipeline.generation.shard_summary import ShardSummary, Summarizer
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import sample_sequences
from pipeline.storage import files
from pipeline.verification.damage import Problem, find_problems

_READ_BYTES = 2**20
# After inserted or lost bytes every later record may be reported: the first ones tell enough.
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


def check_shard(
    listed: tuple[Shard, ShardRecord], settings: DatasetSettings, directory: str, hashes_directory: str
) -> ShardCheck:
    """Read a shard to its end.

    Args:
        listed: which sequences it should hold, and what the manifest says of it.
        settings: of the data set.
        directory: of the data set.
        hashes_directory: where the hashes of its sequences go, to a file of the shard's name; see
            `pipeline.dataset.duplicates`.

    Raises:
        OSError: if the hashes cannot be written.
    """
    shard, record = listed
    path = files.join(directory, record.file)
    if not files.file_exists(path) and not files.directory_exists(path):
        return ShardCheck((Problem(record.file, "is missing"),), None)
    try:
        with _hash_writer(hashes_directory, shard) as hashes:
            summarizer = Summarizer(settings, shard, hashes)
            with _Reader(path) as reader:
                good, offset = _compare(reader, shard, settings, summarizer)
                whole = good == shard.num_sequences and not reader.read(1)
            if not whole or reader.sha256 != record.sha256:
                if problems := _look_closely(path, shard, record, settings, good, offset):
                    return ShardCheck(problems, None)
                # The right sequences, but another zlib compressed them.
                for first, count in blocks(shard.first_sequence + good, shard.num_sequences - good):
                    summarizer.add(
                        *sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
                    )
        return ShardCheck((), summarizer.summary())
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


def _compare(
    reader: _Reader, shard: Shard, settings: DatasetSettings, summarizer: Summarizer
) -> tuple[int, int]:
    """Compare a shard with what this program would write, block by block, and sum up what is the same.

    Returns:
        How many records, and bytes, lie before the first block that differs.
    """
    encode = ENCODINGS[settings.encoding].encode
    good = offset = 0
    for first, count in blocks(shard.first_sequence, shard.num_sequences):
        paths, labels = sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
        expected = encode(paths, labels)
        if reader.read(len(expected)) != expected:
            break
        summarizer.add(paths, labels)
        good, offset = good + count, offset + len(expected)
    return good, offset


def _look_closely(
    path: str, shard: Shard, record: ShardRecord, settings: DatasetSettings, good: int, offset: int
) -> tuple[Problem, ...]:
    """What is wrong from a record on that begins at ``offset``; nothing if the file is the manifest's."""
    with _Reader(path) as reader:
        reader.skip(offset)
        found = find_problems(cast(BinaryIO, reader), shard, record, settings, good, offset)
        problems = tuple(islice(found, MAX_PROBLEMS_PER_SHARD))
        if not problems and reader.sha256 != record.sha256:
            reason = (
                "every sequence is right, but the bytes are not those that the manifest knows:"
                " another program or another zlib wrote them"
            )
            problems = (Problem(record.file, reason),)
    return problems
