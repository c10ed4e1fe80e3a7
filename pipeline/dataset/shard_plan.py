"""Plans the shards of a data set: their number, and the examples of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError

MAX_SHARDS = 1_000_000
# Number of shards of a split with automatic sharding, so that as many readers can share a split.
_MIN_SHARDS = 16
# With automatic sharding a split has more shards if one would be larger than this.
_MAX_SHARD_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Shard:
    """One file of a split, with consecutive examples.

    Attributes:
        dataset: name of the kind of data set.
        split: name of the split.
        index: number of the shard in the split, from 0.
        num_shards: number of shards of the split.
        first_sequence: number of the first example in the split, from 0.
        num_sequences: number of examples.
    """

    dataset: str
    split: str
    index: int
    num_shards: int
    first_sequence: int
    num_sequences: int

    @property
    def file_name(self) -> str:
        """The file name, as TFDS forms it: ``moving_line-train.tfrecord-00000-of-00016``."""
        return self._name("tfrecord")

    @property
    def digests_name(self) -> str:
        """Name of the file with the digests of the shard's records, which a kind that is not pure has."""
        return self._name("digests")

    def _name(self, suffix: str) -> str:
        return f"{self.dataset}-{self.split}.{suffix}-{self.index:05d}-of-{self.num_shards:05d}"


# What TFDS reads as a split, too.
_SPLIT = r"\w[\w-]*"
_SHARD_NAME = re.compile(rf"[a-z][a-z0-9_]*-{_SPLIT}\.(tfrecord|digests)-\d{{5,}}-of-\d{{5,}}")


def is_split_name(name: str) -> bool:
    """Whether a split may be called so: names of files contain it."""
    return re.fullmatch(_SPLIT, name) is not None


def is_shard_name(name: str) -> bool:
    """Whether a file name has the form of `Shard.file_name` or `Shard.digests_name`, of any data set."""
    return _SHARD_NAME.fullmatch(name) is not None


def plan_shards(
    dataset: str, num_sequences: Mapping[str, int], record_bytes: int, per_shard: int | None
) -> list[Shard]:
    """All shards of a data set, split by split. The sizes of a split's shards differ by at most one example.

    Args:
        dataset: name of the kind of data set.
        num_sequences: number of examples by split.
        record_bytes: approximate size of a record, framing included.
        per_shard: largest number of examples in a shard; None: chosen automatically.

    Raises:
        RequestError: if a split would have more than `MAX_SHARDS` shards.
    """
    shards = []
    for split, total in num_sequences.items():
        count = _num_shards(split, total, record_bytes, per_shard)
        starts = [index * total // count for index in range(count + 1)]
        shards += [
            Shard(dataset, split, index, count, starts[index], starts[index + 1] - starts[index])
            for index in range(count)
        ]
    return shards


def check_num_shards(num_sequences: Mapping[str, int], record_bytes: int, per_shard: int | None) -> None:
    """Check the number of shards of every split; arguments and errors as for `plan_shards`."""
    for split, total in num_sequences.items():
        _num_shards(split, total, record_bytes, per_shard)


def _num_shards(split: str, total: int, record_bytes: int, per_shard: int | None) -> int:
    if per_shard is not None:
        count = -(-total // per_shard)
    else:
        by_size = -(-total * record_bytes // _MAX_SHARD_BYTES)
        count = max(min(_MIN_SHARDS, total), by_size)
    if count > MAX_SHARDS:
        raise RequestError(
            f"--num_{split} {total} makes {count} shards: at most {MAX_SHARDS} are possible;"
            " ask for fewer sequences, or more in a shard"
        )
    return count
