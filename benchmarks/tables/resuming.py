"""How long a training that is taken up waits for its first batch, by how much lies before it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.data import data_set
from benchmarks.rows import Spread

_BATCH_SIZE = 256
_MILLION = 1_000_000


def measure(directory: Path, *, rounds: int, num_path: int) -> dict[str, Any]:
    """All cases in turn, on a data set of so many sequences."""
    data_dir = str(data_set(directory, "path", num_path))

    from benchmarks.trainers import batches_of, train_files

    files = train_files(data_dir)

    def seconds_to_first_batch(passed: int) -> float:
        start = time.perf_counter()
        next(iter(batches_of(files, _BATCH_SIZE, passed // _BATCH_SIZE)))
        return time.perf_counter() - start

    # Within the first pass over the data, and many passes later.
    cases = (0, _MILLION, 5 * _MILLION, 1000 * _MILLION + 3 * _MILLION)
    seconds_to_first_batch(0)
    found = [{str(case): seconds_to_first_batch(case) for case in cases} for _ in range(rounds)]
    return {"unit": "seconds", "rounds": found}


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = ["| sequences passed | seconds to the first batch |", "|---:|---:|"]
    rounds = figures["rounds"]
    for case in rounds[0]:
        lines.append(f"| {int(case):,} | {Spread.of([each[case] for each in rounds]).text(2)} |")
    return "\n".join(lines)
