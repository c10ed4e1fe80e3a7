"""Checks every byte of a shard."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, cast

from pipeline import files
from pipeline.content import SEQUENCES_PER_LEAF, blocks
from pipeline.duplicates import HashWriter
from pipeline.encodings import ENCODINGS
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
                good, _ = _read_good(reader, shard, settings, summarizer)
            if good == shard.num_sequences and not reader.read(1) and reader.sha256 == record.sha256:
                return ShardCheck((), summarizer.summary())
        with files.open_binary(path) as stream:
            good, offset = _read_good(_Reader(stream), shard, settings, None)
        with files.open_binary(path) as stream:
            _skip(stream, offset)
            problems = find_problems(stream, shard, record, settings, good, offset)
            return ShardCheck(tuple(islice(problems, MAX_PROBLEMS_PER_SHARD)), None)
    except OSError as error:
        reason = f"cannot be read ({error.strerror or one_line(error)})"
        return ShardCheck((Problem(record.file, reason),), None)


def _read_good(
    reader: _Reader, shard: Shard, settings: DatasetSettings, summarizer: Summarizer | None
) -> tuple[int, int]:
    """Read a shard up to the first block that is not whole.

    Args:
        reader: at the start of the shard.
        shard: which sequences it should hold.
        settings: of the data set.
        summarizer: sums up the blocks; where it digests them, it is the manifest's digest that tells whether
            they are the right ones. Without it, every block is compared with the definition.

    Returns:
        How many records are before that block, and how many bytes.
    """
    encoding = ENCODINGS[settings.encoding]
    good = offset = 0
    for first, count in blocks(shard.first_sequence, shard.num_sequences):
        try:
            paths, labels = encoding.read_block(cast(BinaryIO, reader), count, settings.image_size)
        except ValueError:
            break
        # A leaf that begins in the shard before is digested there, what lies here being taken as defined.
        is_digested = summarizer is not None and first % SEQUENCES_PER_LEAF == 0
        if not is_digested and not as_defined(paths, labels, shard, settings, first).all():
            break
        if summarizer is not None:
            summarizer.add(paths, labels)
        good, offset = good + count, reader.num_bytes
    return good, offset


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
