"""The finished shards and splits of a data set, as the manifest lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ShardEntry:
    """A finished shard.

    Attributes:
        file: file name in the data set's directory.
        first_sequence: number of the shard's first example in its split, from 0.
        num_sequences: number of examples.
        num_bytes: size of the file.
        sha256: hexadecimal SHA-256 of the file.
        digests_sha256: hexadecimal SHA-256 of the file with the digests of the shard's records; None if the
            kind is pure.
    """

    file: str
    first_sequence: int
    num_sequences: int
    num_bytes: int
    sha256: str
    digests_sha256: str | None = None

    def to_json(self) -> dict[str, int | str]:
        """The entry as the manifest stores it. Written out, because `asdict` takes ten times as long."""
        entry: dict[str, int | str] = {
            "file": self.file,
            "first_sequence": self.first_sequence,
            "num_sequences": self.num_sequences,
            "num_bytes": self.num_bytes,
            "sha256": self.sha256,
        }
        if self.digests_sha256 is not None:
            entry["digests_sha256"] = self.digests_sha256
        return entry

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardEntry:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError: if ``data`` is not a value that `to_json` returns.
        """
        entry = cls(**data)
        numbers = (entry.first_sequence, entry.num_sequences, entry.num_bytes)
        if any(type(number) is not int for number in numbers):  # `isinstance` would accept True.
            raise TypeError("a number of a shard is not whole")
        if not all(
            isinstance(data[name], str) for name in data.keys() & {"file", "sha256", "digests_sha256"}
        ):
            raise TypeError("a name or digest of a shard is not a text")
        return entry


@dataclass(frozen=True)
class Split:
    """A finished split of a data set.

    Attributes:
        shards: the shards, in the order of their examples.
        statistics: statistics of the examples, as `Statistics.to_json` returns them.
        content_sha256: hexadecimal content digest of the split; see `pipeline.dataset.content_digest`.
    """

    shards: tuple[ShardEntry, ...]
    statistics: dict[str, Any]
    content_sha256: str

    @property
    def num_sequences(self) -> int:
        """Number of examples in all shards."""
        return sum(shard.num_sequences for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """Size of all shards."""
        return sum(shard.num_bytes for shard in self.shards)
