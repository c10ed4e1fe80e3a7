"""How fast data sets are read, beside bare tf.data and beside TFDS.

In one process, in turn. Paths: the trainer's shuffled, parsed batches beside the shortest way from the
same files to parsed batches. Frames: paths read by the trainer's pipeline and drawn by the model's layer,
as uint8, beside TFDS reading the frames encoding; every pass has a data set object of its own, so that
nothing is cached. One pass of each over a few sequences comes first: it builds what is built once, and
both must give the same sequences.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.baselines.bare_tf_data import bare_batches
from benchmarks.baselines.tfds_reader import tfds_batches
from benchmarks.data import data_set
from benchmarks.rows import Row, Target
from benchmarks.trainers import batches_of, train_files
from model.moving_line import DrawLine
from pipeline.command_line.errors import WorkError

_PATHS_A_BATCH, _FRAMES_A_BATCH = 1024, 256
_CHECKED = 4 * _PATHS_A_BATCH
_ROUNDS = 3
# Sequences read as paths; of these, drawn; and read as frames.
_FULL = 4_000_000, 500_000, 10_000
_QUICK = 300_000, 50_000, 2_000

# Makes a data set of batches anew, for one pass.
Batches = Callable[[], Iterable[Any]]


def measure(directory: Path, quick: bool) -> list[Row]:
    """A row for paths and one for frames."""
    num_paths, num_drawn, num_frames = _QUICK if quick else _FULL
    files = train_files(str(data_set(directory, "path", num_paths)))
    frames_dir = str(data_set(directory, "frames", num_frames))
    _check(directory)
    rounds = 1 if quick else _ROUNDS
    paths = _measure(
        lambda: batches_of(files, _PATHS_A_BATCH).take(num_paths // _PATHS_A_BATCH),
        lambda: bare_batches(files.paths, _PATHS_A_BATCH),
        _PATHS_A_BATCH,
        rounds,
    )
    frames = _measure(
        lambda: _drawn(batches_of(files, _FRAMES_A_BATCH).take(num_drawn // _FRAMES_A_BATCH)),
        lambda: tfds_batches(frames_dir, _FRAMES_A_BATCH),
        _FRAMES_A_BATCH,
        rounds,
    )
    bare = "bare `TFRecordDataset.batch.map(parse_example)` in file order"
    what, tfds = "read paths and draw frames, sequences/s", "TFDS reading zlib frames"
    return [
        Row("read-paths", "read shuffled, parsed paths, sequences/s", bare, paths, target=Target(0.8)),
        Row("read-frames", what, tfds, frames, target=Target(10)),
    ]


def _measure(ours: Batches, other: Batches, batch_size: int, rounds: int) -> tuple[tuple[float, float], ...]:
    """Sequences a second of both, in turn, after a batch of each."""
    for batches in (ours, other):
        next(iter(batches()))
    return tuple((_rate(ours, batch_size), _rate(other, batch_size)) for _ in range(rounds))


def _rate(batches: Batches, batch_size: int) -> float:
    start = time.perf_counter()
    count = sum(1 for _ in batches())
    return count * batch_size / (time.perf_counter() - start)


def _drawn(batches: Iterable[Any]) -> Iterator[Any]:
    for features, _ in batches:
        yield _draw(features["path"], features["label"])


_layer = DrawLine(dtype="uint8")


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
def _draw(path: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    return _layer(path, label)


def _check(directory: Path) -> None:
    """Both sides of both comparisons must give the same sequences, in whatever order.

    Raises:
        WorkError: if they do not.
    """
    files = train_files(str(data_set(directory, "path", _CHECKED)))
    bare = [path for batch in bare_batches(files.paths, _PATHS_A_BATCH) for path in batch["path"].numpy()]
    batches = list(batches_of(files, _PATHS_A_BATCH).take(_CHECKED // _PATHS_A_BATCH))
    ours = [path.tobytes() for features, _ in batches for path in features["path"].numpy()]
    if sorted(bare) != sorted(ours):
        raise WorkError("bare tf.data reads other paths than the trainer")
    frames_dir = str(data_set(directory, "frames", _CHECKED))
    other = [batch["frames"] for batch in tfds_batches(frames_dir, _FRAMES_A_BATCH)]
    if _digests(other) != _digests(_drawn(batches)):
        raise WorkError("TFDS reads other frames than are drawn")


def _digests(batches: Iterable[Any]) -> list[bytes]:
    """Of all sequences, in an order of their own."""
    return sorted(sha256(sequence.tobytes()).digest() for frames in batches for sequence in frames.numpy())
