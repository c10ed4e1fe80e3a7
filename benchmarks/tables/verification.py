"""How fast pipeline.verify is beside sha256sum, which reads the same bytes and only digests them.

The files are in the page cache. Both read every byte; start-up counts. So it is when every shard is damaged.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.data import data_set
from benchmarks.jobs import command, seconds_of
from benchmarks.rows import Row
from pipeline.command_line.errors import RequestError
from pipeline.moving_line.definition import MovingLine

_FULL = {"path": 5_000_000, "frames": 200_000}
_QUICK = {"path": 200_000, "frames": 10_000}
_ROUNDS = 2


def measure(directory: Path, quick: bool) -> list[Row]:
    """A row of each encoding.

    Raises:
        RequestError: without sha256sum.
    """
    if shutil.which("sha256sum") is None:
        raise RequestError("there is no sha256sum: install the GNU core utilities")
    counts = _QUICK if quick else _FULL
    rounds = 1 if quick else _ROUNDS
    data = {name: data_set(directory, name, count) for name, count in counts.items()}
    other, but = "`sha256sum`", ", which looks at no record"
    rows = [
        Row(f"verify-{name}", f"verify {plural}, MB/s", other + but, _rounds(data[name], rounds))
        for name, plural in (("path", "paths"), ("frames", "frames"))
    ]
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        damaged = Path(shutil.copytree(data["path"], Path(scratch) / "data"))
        for shard in _shards(damaged):
            shard.write_bytes(bytes(shard.stat().st_size))
        rows.append(Row("verify-zeros", "verify shards of zeros, MB/s", other, _rounds(damaged, rounds, 1)))
    return rows


def _shards(data: Path) -> list[Path]:
    return sorted(data.glob(f"{MovingLine.name}-*.tfrecord-*"))


def _rounds(data: Path, rounds: int, exit_code: int = 0) -> tuple[tuple[float, float], ...]:
    megabytes = sum(len(shard.read_bytes()) for shard in _shards(data)) / 1e6  # And so into the page cache.
    jobs = command("pipeline.verify", data), ["sha256sum", *map(str, _shards(data))]
    return tuple(
        (megabytes / seconds_of(jobs[0], exit_code=exit_code), megabytes / seconds_of(jobs[1]))
        for _ in range(rounds)
    )
