"""What it takes to look for duplicates in one range of hashes; for `stages`.

A range gathers its hashes from every run in every shard's file, so its time has three parts: its hashes,
which are ordered and compared; the files that are opened; and the runs that are searched.
Narrow ranges, which hold next to no hashes, give what a file and a run take.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.process_memory import own_peak
from pipeline.dataset.duplicates import HASHES_PER_RUN, count_in_range, num_ranges

_NARROW = 2**10  # So many times as many ranges as there should be.
_RUNS = 64  # That a range is gathered from.
_RANGES = 20  # That are timed of each kind.

Files = dict[str, list[str]]


def seconds_of_parts() -> dict[str, float]:
    """``seconds_a_hash``, ``seconds_a_file``, ``seconds_a_run``, and this process' ``peak_bytes``."""
    with tempfile.TemporaryDirectory() as directory:
        one = _write(Path(directory), files=1, runs=1)
        many_files = _write(Path(directory), files=_RUNS, runs=1)
        many_runs = _write(Path(directory), files=1, runs=_RUNS)
        ranges = num_ranges(_RUNS * HASHES_PER_RUN)
        narrow = ranges * _NARROW
        least, by_file, by_run, whole = (
            _seconds(files, count, _RANGES)
            for files, count in (
                (one, narrow),
                (many_files, narrow),
                (many_runs, narrow),
                (many_files, ranges),
            )
        )
    more = _RUNS - 1
    a_run = max(0.0, (by_run - least) / more)
    a_file = max(0.0, (by_file - least) / more - a_run)
    return {
        "seconds_a_hash": max(0.0, whole - by_file) * ranges / (_RUNS * HASHES_PER_RUN),
        "seconds_a_file": a_file,
        "seconds_a_run": a_run,
        "peak_bytes": own_peak(),
    }


def _write(directory: Path, files: int, runs: int) -> Files:
    """Training's files of sorted random hashes, as `pipeline.dataset.duplicates.HashWriter` leaves them."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(files):
        path = directory / f"{files}-{runs}-{number}"
        with path.open("wb") as stream:
            for _ in range(runs):
                hashes = np.sort(random.integers(0, 2**64, HASHES_PER_RUN, np.uint64))
                stream.write(np.array([len(hashes)], "<u8").tobytes() + hashes.astype("<u8").tobytes())
        paths.append(str(path))
    nothing = directory / "nothing"
    nothing.write_bytes(np.zeros(1, "<u8").tobytes())
    return {"train": paths, "validation": [str(nothing)], "test": [str(nothing)]}


def _seconds(files: Files, ranges: int, count: int) -> float:
    """Median over ranges that lie apart; the first one opens everything and is not counted."""
    taken = []
    for number in range(count + 1):
        start = time.perf_counter()
        count_in_range(files, number * (ranges // (count + 1)), ranges)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])
