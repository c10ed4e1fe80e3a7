"""The summary of a shard's examples, computed while they are written or read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.block import Block
from pipeline.dataset.content_digest import LeafDigests, split_digest
from pipeline.dataset.duplicates import HashWriter
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry, Split
from pipeline.dataset.statistics import Statistics, total
from pipeline.definition import Definition


@dataclass(frozen=True)
class ShardSummary:
    """Statistics and digests of a shard's examples.

    Attributes:
        statistics: statistics of the examples.
        leaves: digests of the leaves that begin in the shard, 32 bytes each; see
            `pipeline.dataset.content_digest`.
    """

    statistics: Statistics
    leaves: bytes

    def to_json(self) -> dict[str, Any]:
        """The summary as the shard's report stores it."""
        return {"statistics": self.statistics.to_json(), "leaves": self.leaves.hex()}

    @classmethod
    def from_json(cls, data: dict[str, Any], definition: Definition) -> ShardSummary:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError, ValueError, AttributeError, OverflowError: if ``data`` is not a value that
                `to_json` returns.
        """
        return cls(definition.statistics_from_json(data["statistics"]), bytes.fromhex(data["leaves"]))


class Summarizer:
    """Computes the summary of a shard from its blocks, and writes the hashes of its contents.

    Args:
        definition: definition of the data set.
        shard: the shard.
        hashes: writer of the hashes.
    """

    def __init__(self, definition: Definition, shard: Shard, hashes: HashWriter) -> None:
        self._definition = definition
        self._shard = shard
        self._hashes = hashes
        self._statistics: list[Statistics] = []
        self._leaves = LeafDigests(definition.examples_per_leaf)

    def add(self, block: Block) -> None:
        """Add the shard's next block."""
        self._statistics = [total([*self._statistics, block.statistics()])]
        self._hashes.add(block.keys)
        self._leaves.add(block.first, block.contents)

    def summary(self) -> ShardSummary:
        """The summary, after all blocks of the shard were added."""
        self._finish_leaf()
        return ShardSummary(total(self._statistics), self._leaves.digests())

    def _finish_leaf(self) -> None:
        """Add the examples of the last leaf that are in later shards: make them from the definition."""
        shard, per_leaf = self._shard, self._definition.examples_per_leaf
        end = shard.first_sequence + shard.num_sequences
        if -(-shard.first_sequence // per_leaf) * per_leaf >= end:
            return  # No leaf begins in this shard.
        missing = min(-(-end // per_leaf) * per_leaf, self._definition.num_sequences[shard.split]) - end
        if not missing:
            return
        for block in self._definition.blocks(shard.split, end, missing):
            self._leaves.add(block.first, block.contents)


def split_of(entries: Sequence[ShardEntry], summaries: Sequence[ShardSummary]) -> Split:
    """The manifest's entry of a split, from the entries and summaries of its shards in order."""
    statistics = total(summary.statistics for summary in summaries)
    leaves = split_digest(summary.leaves for summary in summaries)
    return Split(tuple(entries), statistics.to_json(), leaves)
