"""What the examples of a shard amount to, summed up as they are written or read."""

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
    """A shard's examples in short.

    Attributes:
        statistics: of them.
        leaves: digests of the content leaves that begin in the shard, 32 bytes each.
    """

    statistics: Statistics
    leaves: bytes

    def to_json(self) -> dict[str, Any]:
        """As it stands in a shard's report."""
        return {"statistics": self.statistics.to_json(), "leaves": self.leaves.hex()}

    @classmethod
    def from_json(cls, data: dict[str, Any], definition: Definition) -> ShardSummary:
        """The inverse of `to_json`."""
        return cls(definition.statistics_from_json(data["statistics"]), bytes.fromhex(data["leaves"]))


class Summarizer:
    """Sums up a shard from its blocks.

    Args:
        definition: of the data set.
        shard: which one.
        hashes: takes the hashes of the contents.
    """

    def __init__(self, definition: Definition, shard: Shard, hashes: HashWriter) -> None:
        self._definition = definition
        self._shard = shard
        self._hashes = hashes
        self._statistics: list[Statistics] = []
        self._leaves = LeafDigests(definition.examples_per_leaf)

    def add(self, block: Block) -> None:
        """Take the next block."""
        self._statistics = [total([*self._statistics, block.statistics()])]
        self._hashes.add(block.contents)
        self._leaves.add(block.first, block.contents)

    def summary(self) -> ShardSummary:
        """Of all blocks, when the shard is whole."""
        self._finish_leaf()
        return ShardSummary(total(self._statistics), self._leaves.digests())

    def _finish_leaf(self) -> None:
        """Take the examples of later shards that belong to the last leaf."""
        shard, per_leaf = self._shard, self._definition.examples_per_leaf
        end = shard.first_sequence + shard.num_sequences
        if -(-shard.first_sequence // per_leaf) * per_leaf >= end:
            return  # No leaf begins here.
        missing = min(-(-end // per_leaf) * per_leaf, self._definition.num_sequences[shard.split]) - end
        for block in self._definition.blocks(shard.split, end, missing):
            self._leaves.add(block.first, block.contents)


def split_of(entries: Sequence[ShardEntry], summaries: Sequence[ShardSummary]) -> Split:
    """What the manifest says of a split, from its shards in order."""
    statistics = total(summary.statistics for summary in summaries)
    leaves = split_digest(summary.leaves for summary in summaries)
    return Split(tuple(entries), statistics.to_json(), leaves)
