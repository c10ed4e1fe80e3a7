"""The shards of a data set: how many there are, and which examples each holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError

MAX_SHARDS = 1_000_000
# With automatic sharding a split has this many shards, so that as many readers can share it ...
_MIN_SHARDS = 16
# ... and more when a shard would grow beyond this size.
_MAX_SHARD_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Shard:
    """One file of a split: which examples it holds.

    Attributes:
        dataset: name of the kind of data set.
        split: name of the split.
        index, num_shards: the shard's place among the split's shards.
        first_sequence, num_sequences: it holds first_sequence .. first_sequence + num_sequences - 1.
    """

    dataset: str
    split: str
    index: int
    num_shards: int
    first_sequence: int
    num_sequences: int

    @property
    def file_name(self) -> str:
        """The name that TFDS gives it: ``moving_line-train.tfrecord-00000-of-00016``."""
        return self._name("tfrecord")

    @property
    def digests_name(self) -> str:
        """Name of the file with the digests of its records, where there is one."""
        return self._name("digests")

    def _name(self, suffix: str) -> str:
        return f"{self.dataset}-{self.split}.{suffix}-{self.index:05d}-of-{self.num_shards:05d}"


_SHARD_NAME = re.compile(r"[a-z][a-z0-9_]*-\w+\.(tfrecord|digests)-\d{5,}-of-\d{5,}")


def is_shard_name(name: str) -> bool:
    """Whether a file is named as `Shard` names files, of whatever data set."""
    return _SHARD_NAME.fullmatch(name) is not None


def plan_shards(
    dataset: str, num_sequences: Mapping[str, int], record_bytes: int, per_shard: int | None
) -> list[Shard]:
    """All shards of a data set, split by split. Shards of a split differ by one example at most.

    Args:
        dataset: name of the kind of data set.
        num_sequences: by split, the number of its examples.
        record_bytes: about the size of a record, framing included.
        per_shard: the most examples in a shard; None chooses automatically.

    Raises:
        RequestError: if a split would have too many shards.
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
    """Refuse splits of too many shards; arguments and errors as for `plan_shards`."""
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
