"""Makes one shard: samples its sequences block by block and writes them atomically."""

from __future__ import annotations

import hashlib

from pipeline import files
from pipeline.encodings import ENCODINGS
from pipeline.lines import sample_sequences
from pipeline.manifest import ShardRecord
from pipeline.settings import DatasetSettings, Shard
from pipeline.statistics import Statistics
from pipeline.workspace import ShardReport, Workspace

# Large enough that NumPy's work outweighs Python's, small enough for the cache and for little memory.
_SEQUENCES_PER_BLOCK = 8192


def make_shard(shard: Shard, settings: DatasetSettings, directory: str) -> ShardReport:
    """Write a shard under its final name, unless an earlier run already did, and report what it holds.

    Memory does not grow with the shard: sequences pass through in blocks.

    Raises:
        OSError: if the shard cannot be written; nothing is left under its final name.
    """
    workspace = Workspace(directory)
    if finished := workspace.finished_report(shard):
        return finished
    encode = ENCODINGS[settings.encoding].encode
    digest, num_bytes = hashlib.sha256(), 0
    statistics = Statistics.zero(settings.image_size)
    with files.write_atomically(workspace.path(shard), workspace.state) as stream:
        end = shard.first_sequence + shard.num_sequences
        for first in range(shard.first_sequence, end, _SEQUENCES_PER_BLOCK):
            count = min(_SEQUENCES_PER_BLOCK, end - first)
            paths, labels = sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
            block = encode(paths, labels)
            stream.write(block)
            digest.update(block)
            num_bytes += len(block)
            statistics += Statistics.of(paths, labels)
    report = ShardReport(
        ShardRecord(
            shard.file_name, shard.first_sequence, shard.num_sequences, num_bytes, digest.hexdigest()
        ),
        statistics,
    )
    workspace.write_report(shard, report)
    return report
