"""Reading a damaged data set without what is damaged.

Every shard is read once beforehand and compared with the digest in the manifest. Of one that differs, the
records that are still the right sequences are copied to a temporary file, and that is read instead. So
reading itself knows nothing of damage: it never stalls, and its order is as fixed as ever.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import WorkError, one_line
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.verification.damage import classify_records
from pipeline.verification.expected import expected_records
from pipeline.workers.cores import usable_cores
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.fetched_shards import fetched, temporary_file
from trainer.input.split_files import SplitFiles, remedy, split_files

_READ_BYTES = 2**22
_NONE = np.empty(0, np.int64)


@contextmanager
def open_split(data_dir: str, manifest: Manifest, split: str, on_corrupt: str) -> Iterator[SplitFiles]:
    """What is to be read of a split, for as long as the block lasts.

    Args:
        data_dir: a finished data set.
        manifest: its manifest.
        split: which split.
        on_corrupt: "fail" takes the shards as they are; "skip" leaves out what is damaged, says so on stderr,
            and counts it in `SplitFiles.left_out`.

    Raises:
        WorkError: naming a shard that is missing or of another size; with "skip", if nothing is left.
    """
    with fetched(data_dir, manifest, split, on_corrupt) as readable_dir:
        if on_corrupt == "fail":
            yield split_files(readable_dir, manifest, split)
            return
        with tempfile.TemporaryDirectory(prefix="moving_line-") as directory:
            yield _without_damage(readable_dir, manifest, split, directory, data_dir)


@dataclass(frozen=True)
class _Salvaged:
    """What can be read of a shard: a file, the numbers of its sequences, bytes; and why not the others."""

    path: str
    numbers: npt.NDArray[np.int64]
    num_bytes: int
    reason: str = ""


def _without_damage(
    readable_dir: str, manifest: Manifest, split: str, directory: str, data_dir: str
) -> SplitFiles:
    listed = {shard: record for shard, record in manifest.listed_shards().items() if shard.split == split}

    def salvage(item: tuple[Shard, ShardEntry]) -> _Salvaged:
        return _salvage(item, manifest, readable_dir, directory)

    # Digests are computed outside Python's lock, so threads use every core.
    with ThreadPoolExecutor(usable_cores()) as pool:
        found = list(pool.map(salvage, listed.items()))
    left_out = {}
    for record, salvaged in zip(listed.values(), found, strict=True):
        if lost := record.num_sequences - len(salvaged.numbers):
            left_out[record.file] = lost
            print(
                f"{record.file}: {lost} of {record.num_sequences} sequences left out ({salvaged.reason})",
                file=sys.stderr,
            )
    kept = [salvaged for salvaged in found if len(salvaged.numbers)]
    if not kept:
        raise WorkError(f"{data_dir}: nothing of split {split} can be read; {remedy(data_dir)}")
    return SplitFiles(
        tuple(salvaged.path for salvaged in kept),
        tuple(len(salvaged.numbers) for salvaged in kept),
        sum(salvaged.num_bytes for salvaged in kept),
        DatasetSpec.of(manifest),
        left_out,
        np.concatenate([salvaged.numbers for salvaged in kept]) if left_out else None,
    )


def _salvage(
    listed: tuple[Shard, ShardEntry], manifest: Manifest, data_dir: str, directory: str
) -> _Salvaged:
    shard, record = listed
    path = os.path.join(data_dir, record.file)
    try:
        if _sha256(path) == record.sha256:
            numbers = np.arange(shard.first_sequence, shard.first_sequence + shard.num_sequences)
            return _Salvaged(path, numbers, record.num_bytes)
        with tf.io.gfile.GFile(path, "rb") as stream:
            return _copy_good(stream, listed, manifest.definition, data_dir, directory)
    except tf.errors.NotFoundError:
        return _Salvaged(path, _NONE, 0, "the file is missing")
    except (tf.errors.OpError, OSError) as error:
        return _Salvaged(path, _NONE, 0, f"the file cannot be read: {one_line(error)}")


def _copy_good(
    stream: tf.io.gfile.GFile,
    listed: tuple[Shard, ShardEntry],
    definition: Definition,
    data_dir: str,
    directory: str,
) -> _Salvaged:
    """Copy the records that are the sequences that they should be."""
    shard, record = listed
    destination = os.path.join(directory, record.file)
    digests = tf.io.gfile.GFile(os.path.join(data_dir, shard.digests_name), "rb")
    try:
        expected = expected_records(definition, listed, digests.read)
    except (ValueError, tf.errors.OpError) as error:  # Without them nobody can tell which records are right.
        return _Salvaged(destination, _NONE, 0, f"{shard.digests_name}: {one_line(error)}")
    numbers: list[int] = []
    num_bytes = 0
    first_reason = "the file is too short"
    with temporary_file(destination) as copy:
        for item in classify_records(stream, listed, definition, expected):
            if item.reason is None:
                num_bytes += copy.write(item.content)
                first = shard.first_sequence + item.record
                numbers += range(first, first + item.num_records)
            elif item.record < shard.num_sequences and not first_reason.startswith("record"):
                first_reason = f"record {item.record} at byte {item.offset_bytes}: {item.reason}"
    return _Salvaged(destination, np.array(numbers, np.int64), num_bytes, first_reason)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
