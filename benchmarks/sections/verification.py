"""How fast pipeline.verify is beside sha256sum, which reads the same bytes and only digests them.

The files are in the page cache. Both read every byte once; start-up counts.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.jobs import command, data_set, seconds_of
from benchmarks.rows import Row
from pipeline.program import RequestError
from pipeline.settings import DATASET_NAME

_FULL = {"path": 5_000_000, "frames": 200_000}
_QUICK = {"path": 200_000, "frames": 10_000}
_ROUNDS = 3


def measure(directory: Path, quick: bool) -> list[Row]:
    """A row of each encoding.

    Raises:
        RequestError: without sha256sum.
    """
    if shutil.which("sha256sum") is None:
        raise RequestError("there is no sha256sum: install the GNU core utilities")
    counts = _QUICK if quick else _FULL
    return [
        Row(
            f"verify-{encoding}",
            f"verify {plural}, MB/s",
            "`sha256sum`, which looks at no record",
            _rounds(data_set(directory, encoding, counts[encoding]), 1 if quick else _ROUNDS),
        )
        for encoding, plural in (("path", "paths"), ("frames", "frames"))
    ]


def _rounds(data: Path, rounds: int) -> tuple[tuple[float, float], ...]:
    shards = sorted(data.glob(f"{DATASET_NAME}-*.tfrecord-*"))
    megabytes = sum(len(shard.read_bytes()) for shard in shards) / 1e6  # And so into the page cache.
    jobs = command("pipeline.verify", data), ["sha256sum", *map(str, shards)]
    return tuple((megabytes / seconds_of(jobs[0]), megabytes / seconds_of(jobs[1])) for _ in range(rounds))
