"""What the sequences of a shard amount to, summed up as they are written or read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dataset.content_digest import SEQUENCES_PER_LEAF, leaf_digest
from pipeline.dataset.duplicates import HashWriter
from pipeline.dataset.shard_plan import DatasetSettings, Shard
from pipeline.moving_line.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.moving_line.statistics import Statistics


@dataclass(frozen=True)
class ShardSummary:
    """A shard's sequences in short.

    Attributes:
        statistics: counts over them.
        leaves: hexadecimal digests of the content leaves that begin in the shard.
    """

    statistics: Statistics
    leaves: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in a shard's report."""
        return {"statistics": self.statistics.to_json(), "leaves": list(self.leaves)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardSummary:
        """The inverse of `to_json`."""
        return cls(Statistics.from_json(data["statistics"]), tuple(data["leaves"]))


class Summarizer:
    """Sums up a shard from its blocks, cut as `pipeline.dataset.content_digest.blocks` cuts them."""

    def __init__(self, settings: DatasetSettings, shard: Shard, hashes: HashWriter) -> None:
        self._settings = settings
        self._split = shard.split
        self._next = shard.first_sequence
        self._hashes = hashes
        self._statistics = Statistics.zero(settings.image_size)
        self._leaves: list[str] = []

    def add(self, paths: Uint8Array, labels: Int64Array) -> None:
        """The next block: paths uint8 (n, S), labels int64 (n,)."""
        first, self._next = self._next, self._next + len(paths)
        self._statistics += Statistics.of(paths, labels)
        self._hashes.add(paths, labels)
        if first % SEQUENCES_PER_LEAF == 0:
            self._leaves.append(self._leaf_digest(first, paths, labels))

    def _leaf_digest(self, first: int, paths: Uint8Array, labels: Int64Array) -> str:
        """Digest of the leaf that a block begins; what lies in later shards follows from the definition."""
        end = min(first + SEQUENCES_PER_LEAF, self._settings.num_sequences[self._split])
        if (missing := end - self._next) > 0:
            rest = sample_sequences(
                self._settings.seed, self._split, self._settings.image_size, self._next, missing
            )
            paths, labels = np.concatenate([paths, rest[0]]), np.concatenate([labels, rest[1]])
        return leaf_digest(paths, labels)

    def summary(self) -> ShardSummary:
        """Of all blocks so far."""
        return ShardSummary(self._statistics, tuple(self._leaves))
