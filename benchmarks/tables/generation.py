"""How fast data sets are generated: ours, those that TFDS writes with Beam, and a plain loop.

Every job is a fresh process, timed from its start to its end. A small job of each side comes first: its
data set is read back and must hold the sequences that it should, and its time tells how much of the
others' is start-up.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import baselines
from benchmarks.agreement import IMAGE_SIZE, SEED, check_agreement, check_lines
from benchmarks.jobs import call, command, generate, seconds_of
from benchmarks.rows import Row, Target

_OURS, _GUIDE, _BLOCKS, _LOOP = "ours", "tfds", "tfds_blocks", "loop"
# TFDS with a Beam element for every sequence, as its guide does it; and with one for many, its best.
_SEQUENCES_PER_ELEMENT = {_GUIDE: 1, _BLOCKS: 1_000}
_OTHERS = {
    _GUIDE: "a TFDS builder on Beam, as its guide writes it",
    _BLOCKS: "the same, 1,000 sequences a Beam element: its best",
    _LOOP: "a plain loop, one process",
}
_FEW = 1_100  # More than a block of TFDS at its best.
_TARGETS = {("path", _GUIDE): 100, ("path", _BLOCKS): 100, ("frames", _GUIDE): 10, ("frames", _BLOCKS): 10}


@dataclass(frozen=True)
class _Job:
    """Sequences that a job made, in how many seconds."""

    sequences: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.sequences / self.seconds


_FULL = {
    "path": {_OURS: 20_000_000, _GUIDE: 150_000, _BLOCKS: 200_000, _LOOP: 200_000},
    "frames": {_OURS: 300_000, _GUIDE: 12_000, _BLOCKS: 12_000, _LOOP: 10_000},
}
_ROUNDS = 3
_TO_SYNC = 5_000_000


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of both encodings: whole jobs, and what is left of them after start-up."""
    rows: list[Row] = []
    for encoding, counts in _FULL.items():
        sides = [side for side in counts if not quick or side != _BLOCKS]
        start_up = {side: _make(directory, side, encoding, _FEW, is_checked=True) for side in sides}
        if quick:
            rounds = [{**start_up, _OURS: _make(directory, _OURS, encoding, counts[_OURS] // 20)}]
        else:
            rounds = [
                {side: _make(directory, side, encoding, count) for side, count in counts.items()}
                for _ in range(_ROUNDS)
            ]
        others = [side for side in sides if side != _OURS]
        for side in others:
            target = _TARGETS.get((encoding, side))
            rows.append(
                Row(
                    f"generate-{encoding}-{side}",
                    f"generate, {_NAMES[encoding]}, sequences/s",
                    _OTHERS[side],
                    tuple((each[_OURS].rate, each[side].rate) for each in rounds),
                    target=Target(target) if target else None,
                )
            )
        if quick:  # Such jobs are little but start-up.
            continue
        for side in others:
            pairs = (
                (_after(each[_OURS], start_up[_OURS]), _after(each[side], start_up[side])) for each in rounds
            )
            rows.append(
                Row(
                    f"generate-{encoding}-{side}-running",
                    f"… after start-up, {_NAMES[encoding]}, sequences/s",
                    _OTHERS[side],
                    tuple(pairs),
                )
            )
        rows.append(
            Row(
                f"generate-{encoding}-start-up",
                f"… start-up and {_FEW:,} sequences, {_NAMES[encoding]}, seconds",
                _OTHERS[_GUIDE],
                ((start_up[_OURS].seconds, start_up[_GUIDE].seconds),),
                is_time=True,
                digits=1,
            )
        )
    return [*rows, _synced(directory, quick)]


def _synced(directory: Path, quick: bool) -> Row:
    """What it costs to bring a data set to the disk, as far as its job does not do it meanwhile."""
    count = _TO_SYNC // 20 if quick else _TO_SYNC
    unsynced = Path(baselines.__path__[0]) / "unsynced"
    pairs = (
        (_make(directory, _OURS, "path", count).rate, _make(directory, _OURS, "path", count, unsynced).rate)
        for _ in range(1 if quick else _ROUNDS)
    )
    return Row(
        "generate-synced",
        f"generate {count:,} paths, sequences/s",
        "itself, without waiting for the disk",
        tuple(pairs),
        target=Target(0.9),
    )


_NAMES = {"path": "paths", "frames": "frames"}


def _make(
    directory: Path,
    side: str,
    encoding: str,
    count: int,
    python_path: Path | None = None,
    *,
    is_checked: bool = False,
) -> _Job:
    """Make a data set, see that it is right, and remove it."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        data = Path(scratch) / "data"
        seconds = seconds_of(_job(side, data, encoding, count), python_path)
        if is_checked and side == _LOOP:
            check_lines(data, encoding, count)
        elif is_checked:
            check_agreement(data, encoding, count)
        if data.is_dir():
            shutil.rmtree(data)
    return _Job(count, seconds)


def _job(side: str, data: Path, encoding: str, count: int) -> list[str]:
    if side == _LOOP:
        asked = {"encoding": encoding, "num_sequences": count}
        return call("baselines.plain_loop", "write", tensorflow=True, output=data, **asked)
    if side in _SEQUENCES_PER_ELEMENT:
        size = {"num_sequences": count, "sequences_per_element": _SEQUENCES_PER_ELEMENT[side]}
        return command("benchmarks.baselines.tfds_builder", output_dir=data, encoding=encoding, **size)
    return generate(data, count, encoding=encoding, seed=SEED, image_size=IMAGE_SIZE)


def _after(job: _Job, small: _Job) -> float:
    """The rate of what came after start-up, as far as a small job tells it."""
    return (job.sequences - small.sequences) / max(job.seconds - small.seconds, 1e-9)
