"""How much memory generating, verifying, reading and evaluating take, and whether more sequences take more.

Each job is measured with all its processes, at two sizes in turn, on data sets of paths.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.data import data_set_to_judge, run_to_judge
from benchmarks.jobs import call, command, generate
from benchmarks.process_memory import MEASURE, peak_memory
from benchmarks.rows import Row, Target

_FULL, _QUICK = (1_000_000, 10_000_000), (50_000, 500_000)
_JUDGED = (10_000, 100_000)


def measure(directory: Path, quick: bool) -> list[Row]:
    """A row of each job: at the larger size beside the smaller; evaluating, which takes long, not quickly."""
    few, many = sizes = _QUICK if quick else _FULL
    larger, smaller = _peaks(directory, many), _peaks(directory, few)
    rows = [_row(job, sizes, (larger[job], smaller[job])) for job in larger]
    if quick:
        return rows
    few, many = _JUDGED
    run = run_to_judge(directory, data_set_to_judge(directory, few))
    judged = (_peak_of_judging(directory, run, many), _peak_of_judging(directory, run, few))
    return [*rows, _row("evaluate", _JUDGED, judged)]


def _row(job: str, sizes: tuple[int, int], peaks: tuple[int, int]) -> Row:
    """Peak bytes at the larger and the smaller size."""
    few, many = sizes
    return Row(
        f"memory-{job.split()[0]}",
        f"{job} {many:,} sequences, peak {MEASURE}, MiB",
        f"itself, {few:,} sequences",
        ((peaks[0] / 2**20, peaks[1] / 2**20),),
        is_size=True,
        target=Target(1.1, is_least=False),
    )


def _peak_of_judging(directory: Path, run: Path, count: int) -> int:
    data, output = data_set_to_judge(directory, count), directory / "judged.json"
    return peak_memory(command("trainer.evaluate", data_dir=data, model_dir=run, output=output))


def _peaks(directory: Path, num_sequences: int) -> dict[str, int]:
    """Peak bytes of every job on a data set of so many sequences."""
    with tempfile.TemporaryDirectory(dir=directory) as data:
        jobs = {
            "generate": generate(Path(data), num_sequences),
            "verify": command("pipeline.verify", data),
            "read an epoch of": call("stage", "read_epoch", tensorflow=True, data_dir=data),
        }
        return {name: peak_memory(job) for name, job in jobs.items()}
