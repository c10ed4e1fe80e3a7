"""Estimates the disk space, memory and time that a request takes, before anything is written."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import time
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError
from pipeline.dataset.duplicates import HASH_BYTES, HashWriter
from pipeline.dataset.shard_plan import plan_shards
from pipeline.definition import Definition, SourceEstimate
from pipeline.generation.shard_summary import Summarizer
from pipeline.storage import files

_SAMPLE_SECONDS = 0.3
_MOST_SAMPLES = 4096
# Time to import Beam and to start the job and its workers.
_START_SECONDS = 3.0
# Size of a shard's entry in the manifest, and of its report in the work folder.
_BYTES_PER_SHARD = 1024
# Size of the rest of the manifest and of the TFDS metadata.
_OTHER_BYTES = 8192


@dataclass(frozen=True)
class DiskSpace:
    """Disk space that a request takes.

    Attributes:
        num_bytes: estimated size of the finished data set.
        temporary_bytes: estimated size of the work folder, which is removed when the data set is finished.
        free_bytes: free space on the directory's disk; None for a remote directory.
        present_bytes: size of the files, outside of the work folder, that the directory holds already.
    """

    num_bytes: int
    temporary_bytes: int
    free_bytes: int | None
    present_bytes: int

    @classmethod
    def of(cls, definition: Definition, directory: str) -> DiskSpace:
        """The space that a data set takes in a directory, which need not exist."""
        total, num_shards = sum(definition.num_sequences.values()), len(definition.shards())
        return cls(
            total * definition.record_bytes + num_shards * _BYTES_PER_SHARD + _OTHER_BYTES,
            total * HASH_BYTES + num_shards * _BYTES_PER_SHARD,
            shutil.disk_usage(files.nearest_existing(directory)).free if files.is_local(directory) else None,
            sum(size for name, size in files.list_sizes(directory).items() if "/" not in name),
        )

    @classmethod
    def of_estimate(cls, estimate: SourceEstimate, directory: str) -> DiskSpace:
        """The space that an estimated data set takes; its records are kept twice until it is finished."""
        return cls(
            estimate.num_bytes + _OTHER_BYTES,
            estimate.num_bytes + estimate.num_examples * HASH_BYTES,
            shutil.disk_usage(files.nearest_existing(directory)).free if files.is_local(directory) else None,
            sum(size for name, size in files.list_sizes(directory).items() if "/" not in name),
        )

    def check(self, output_dir: str) -> None:
        """Check that the request fits on the disk.

        Args:
            output_dir: the directory as the user gave it, for the error.

        Raises:
            RequestError: if it does not fit, with the needed and the free space.
        """
        missing = self.num_bytes + self.temporary_bytes - self.present_bytes
        if self.free_bytes is not None and missing > self.free_bytes:
            raise RequestError(
                f"--output_dir {output_dir}: needs about {missing:,} bytes, {self.free_bytes:,} are free;"
                " make room, ask for fewer sequences or name another disk"
            )


def describe(definition: Definition, space: DiskSpace, num_workers: int | None) -> list[str]:
    """Describe the size, disk space, memory and time of a request, as lines of text.

    The time is extrapolated from examples made in memory for about a third of a second.

    Args:
        definition: definition of the data set.
        space: disk space that it takes.
        num_workers: number of local worker processes; None for workers elsewhere.
    """
    splits = definition.num_sequences.items()
    total = sum(definition.num_sequences.values())
    core_seconds = total * _seconds_per_sequence(definition)
    return [
        f"  sequences    {total:,} ({', '.join(f'{count:,} {name}' for name, count in splits)})",
        f"  shards       {len(definition.shards()):,}",
        *_resources(space, core_seconds, num_workers),
    ]


def describe_estimate(estimate: SourceEstimate, space: DiskSpace, num_workers: int | None) -> list[str]:
    """Describe a request whose sources were not read yet, as lines of text; arguments as for `describe`."""
    record_bytes = max(1, estimate.num_bytes // estimate.num_examples)
    shards = plan_shards("any", {"train": estimate.num_examples}, record_bytes, None)
    return [
        *estimate.lines,
        f"  records      about {estimate.num_examples:,}",
        f"  shards       about {len(shards):,} or more",
        *_resources(space, estimate.seconds, num_workers),
    ]


def _resources(space: DiskSpace, core_seconds: float, num_workers: int | None) -> list[str]:
    process_mebibytes = _peak_resident_bytes() / 2**20
    if num_workers is None:
        memory = f"about {process_mebibytes:,.0f} MiB a worker process"
        duration = f"about {core_seconds:,.0f} core-seconds like this machine's; how long is up to the engine"
    else:
        memory = f"about {process_mebibytes * (num_workers + 1):,.0f} MiB in {num_workers + 1} processes"
        seconds = _START_SECONDS + core_seconds / num_workers
        duration = f"about {seconds:,.0f} s with {num_workers} local workers"
    free = "unknown" if space.free_bytes is None else f"{space.free_bytes:,} bytes"
    return [
        f"  on disk      about {space.num_bytes:,} bytes, and {space.temporary_bytes:,} until it is finished",
        f"  free disk    {free}",
        f"  peak memory  {memory}",
        f"  time         {duration}",
    ]


def _seconds_per_sequence(definition: Definition) -> float:
    """Measured time in seconds of one core for one example."""
    shard = definition.shards()[0]
    largest = min(_MOST_SAMPLES, definition.num_sequences[shard.split])
    count, made, seconds = min(4, largest), 0, 0.0
    with HashWriter(io.BytesIO()) as hashes:
        while seconds < _SAMPLE_SECONDS:
            summarizer = Summarizer(definition, shard, hashes)
            start = time.perf_counter()
            for block in definition.blocks(shard.split, 0, count):
                hashlib.sha256(block.records())
                summarizer.add(block)
            passed = time.perf_counter() - start
            # Only the largest samples count: the first ones include building tables, and small ones are slow.
            if count == largest or passed >= _SAMPLE_SECONDS:
                made, seconds = made + count, seconds + passed
            count = min(8 * count, largest)
    return seconds / made


def _peak_resident_bytes() -> int:
    """Largest resident memory of this process so far, in bytes."""
    import resource  # Not on Windows, where the program ends with its own message; see `run`.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
