"""How fast data sets are generated: ours, those that TFDS writes with Beam, and a plain loop.

Every job is a fresh process, timed from its start to its end. A small job of each side comes first: its
data set is read back and must hold the sequences that it should, and its time tells how much of the
others' is start-up.
"""

from __future__ import annotations

import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks import baselines
from benchmarks.data import IMAGE_SIZE, SEED
from benchmarks.jobs import call, generate, seconds_of, with_tfds
from benchmarks.rows import Row, Target
from pipeline.command_line.errors import WorkError
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import LEFT, RIGHT, Uint8Array, draw_frames, sample_sequences
from pipeline.storage.tfrecord import read_records
from trainer.command_line.startup import import_tensorflow_quietly

_OURS, _GUIDE, _BLOCKS, _LOOP = "ours", "tfds", "tfds_blocks", "loop"
# TFDS with a Beam element for every sequence, as its guide does it; and with one for many, its best.
_SEQUENCES_PER_ELEMENT = {_GUIDE: 1, _BLOCKS: 1_000}
_OTHERS = {
    _GUIDE: "a TFDS builder on Beam, as its guide writes it",
    _BLOCKS: "the same, 1,000 sequences a Beam element: its best",
    _LOOP: "a plain loop, one process",
}
_FEW = 1_100  # More than a block of TFDS at its best.
_TARGETS = {
    **{("path", side): Target(100) for side in _SEQUENCES_PER_ELEMENT},
    **{("frames", side): Target(10) for side in _SEQUENCES_PER_ELEMENT},
}

_NAMES = {"path": "paths", "frames": "frames"}
_FULL = {
    "path": {_OURS: 10_000_000, _GUIDE: 60_000, _BLOCKS: 100_000, _LOOP: 100_000},
    "frames": {_OURS: 150_000, _GUIDE: 6_000, _BLOCKS: 6_000, _LOOP: 6_000},
}
_ROUNDS = 2
_TO_SYNC = 5_000_000
_QUICK_SHARE = 100  # A quick run makes so many times fewer.

# Sequences that a job made, and seconds that it took.
_Job = tuple[int, float]


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of both encodings: whole jobs, and what is left of them after start-up."""
    rows: list[Row] = []
    for encoding, counts in _FULL.items():
        sides = [side for side in counts if not quick or side != _BLOCKS]
        start_up = {side: _make(directory, side, encoding, _FEW, is_checked=True) for side in sides}
        rounds = [
            {side: _make(directory, side, encoding, count) for side, count in counts.items()}
            for _ in range(0 if quick else _ROUNDS)
        ]
        rounds = rounds or [start_up]
        key, unit, others = f"generate-{encoding}", f"{_NAMES[encoding]}, sequences/s", sides[1:]
        for side in others:
            pairs = tuple((_rate(each[_OURS]), _rate(each[side])) for each in rounds)
            target = _TARGETS.get((encoding, side))
            rows.append(Row(f"{key}-{side}", f"generate, {unit}", _OTHERS[side], pairs, target=target))
        if quick:
            continue
        for side in others:
            pairs = tuple(
                (_rate(each[_OURS], start_up[_OURS]), _rate(each[side], start_up[side])) for each in rounds
            )
            rows.append(Row(f"{key}-{side}-running", f"… after start-up, {unit}", _OTHERS[side], pairs))
        what = f"… start-up and {_FEW:,} sequences, {_NAMES[encoding]}, seconds"
        pairs = ((start_up[_OURS][1], start_up[_GUIDE][1]),)
        rows.append(Row(f"{key}-start-up", what, _OTHERS[_GUIDE], pairs, is_time=True, digits=1))
    return [*rows, _synced(directory, quick)]


def _synced(directory: Path, quick: bool) -> Row:
    """What it costs to bring a data set to the disk, as far as its job does not do it meanwhile."""
    count = _TO_SYNC // _QUICK_SHARE if quick else _TO_SYNC
    unsynced = Path(baselines.__path__[0]) / "unsynced"
    pairs = tuple(
        (
            _rate(_make(directory, _OURS, "path", count)),
            _rate(_make(directory, _OURS, "path", count, unsynced)),
        )
        for _ in range(1 if quick else _ROUNDS)
    )
    what, other = f"generate {count:,} paths, sequences/s", "itself, without waiting for the disk"
    return Row("generate-synced", what, other, pairs, target=Target(0.9))


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
        if is_checked:
            (_check_lines if side == _LOOP else _check_agreement)(data, encoding, count)
    return count, seconds


def _job(side: str, data: Path, encoding: str, count: int) -> list[str]:
    if side == _LOOP:
        asked: dict[str, Any] = {"encoding": encoding, "num_sequences": count}
        return call("baselines.plain_loop", "write", tensorflow=True, output=data, **asked)
    if side in _SEQUENCES_PER_ELEMENT:
        return with_tfds(data, encoding, count, _SEQUENCES_PER_ELEMENT[side])
    return generate(data, count, encoding=encoding, seed=SEED, image_size=IMAGE_SIZE)


def _rate(job: _Job, small: _Job = (0, 0.0)) -> float:
    """Sequences a second of a job; of what came after start-up, as far as a small job tells it."""
    return (job[0] - small[0]) / max(job[1] - small[1], 1e-9)


def _check_agreement(directory: Path, encoding: str, count: int) -> None:
    """Hold a train split against the first ``count`` sequences, in whatever order it has them.

    The data set lies in the directory or below it.

    Raises:
        WorkError: if it holds others, or not all of them.
    """
    import_tensorflow_quietly()
    import tensorflow_datasets as tfds

    (info,) = directory.rglob("dataset_info.json")
    examples = tfds.builder_from_directory(info.parent).as_dataset(split="train").as_numpy_iterator()
    feature = ENCODINGS[encoding].feature
    found = sorted(_digest(example[feature], example["label"]) for example in examples)
    paths, labels = sample_sequences(SEED, "train", IMAGE_SIZE, 0, count)
    contents = draw_frames(paths, labels) if encoding == "frames" else paths
    expected = sorted(_digest(content, label) for content, label in zip(contents, labels, strict=True))
    if found != expected:
        raise WorkError(f"{info.parent}: does not hold the first {count} sequences, each once")


def _check_lines(path: Path, encoding: str, count: int) -> None:
    """Check that a file of records holds so many sequences that the definition allows.

    Raises:
        WorkError: if it does not.
    """
    try:
        with path.open("rb") as stream:
            labels = [
                ENCODINGS[encoding].decode_record(record, IMAGE_SIZE)[1] for record in read_records(stream)
            ]
    except ValueError as error:
        raise WorkError(f"{path}: {error}") from error
    if len(labels) != count or set(labels) != {LEFT, RIGHT}:
        raise WorkError(f"{path}: does not hold {count} sequences of both classes")


def _digest(content: Uint8Array, label: int) -> tuple[bytes, int]:
    """A sequence, small enough to keep many."""
    return sha256(content.tobytes()).digest(), int(label)
