"""Makes shards: samples their sequences block by block and writes them atomically."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from pipeline import files
from pipeline.content import blocks
from pipeline.duplicates import HashWriter
from pipeline.encodings import ENCODINGS
from pipeline.lines import sample_sequences
from pipeline.manifest import ShardRecord
from pipeline.program import WorkError
from pipeline.settings import DatasetSettings, Shard
from pipeline.summary import Summarizer
from pipeline.workspace import ShardReport, Workspace


def make_shard(shard: Shard, settings: DatasetSettings, directory: str) -> str:
    """Write a shard under its final name and report what it holds, unless an earlier run already did.

    Memory does not grow with the shard: sequences pass through in blocks.

    Returns:
        The shard's file name.

    Raises:
        OSError: if the shard cannot be written; nothing is left under its final name.
        WorkError: if the directory has been given to another request; likewise.
    """
    workspace = Workspace(directory)
    if workspace.finished_manifest(settings) is not None:
        return shard.file_name
    workspace.check_request(settings)
    if workspace.finished_report(shard, settings) is None:
        with (
            files.write_atomically(workspace.path(shard), workspace.state) as stream,
            files.write_atomically(workspace.hashes_path(shard), workspace.hashes) as hash_stream,
            HashWriter(hash_stream) as hashes,
        ):
            summarizer = Summarizer(settings, shard, hashes)
            record = _write(shard, settings, stream, summarizer)
            workspace.check_request(settings)
        workspace.write_report(shard, ShardReport(record, summarizer.summary(), settings))
    return shard.file_name


def rebuild_shard(listed: tuple[Shard, ShardRecord], settings: DatasetSettings, directory: str) -> None:
    """Write a shard of a finished data set anew, with the very bytes that it had.

    Args:
        listed: the shard, and what the manifest says of it.
        settings: of the data set.
        directory: of the data set.

    Raises:
        WorkError: if this program's bytes would be others than the manifest says; the shard stays as it is.
        OSError: if it cannot be written; likewise.
    """
    shard, record = listed
    workspace = Workspace(directory)
    path = workspace.path(shard)
    with files.write_atomically(path, workspace.state) as stream:
        if _write(shard, settings, stream, None).sha256 != record.sha256:
            raise WorkError(
                f"{path}: this program would write other bytes than the manifest says (it was made by another"
                " version, or with another zlib); generate the data set into another directory"
            )


def _write(
    shard: Shard, settings: DatasetSettings, stream: BinaryIO, summarizer: Summarizer | None
) -> ShardRecord:
    encode = ENCODINGS[settings.encoding].encode
    digest, num_bytes = hashlib.sha256(), 0
    for first, count in blocks(shard.first_sequence, shard.num_sequences):
        paths, labels = sample_sequences(settings.seed, shard.split, settings.image_size, first, count)
        block = encode(paths, labels)
        stream.write(block)
        digest.update(block)
        num_bytes += len(block)
        if summarizer is not None:
            summarizer.add(paths, labels)
    return ShardRecord(
        shard.file_name, shard.first_sequence, shard.num_sequences, num_bytes, digest.hexdigest()
    )
