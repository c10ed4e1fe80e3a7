"""Shards beside arrays in memory: clips decoded with OpenCV, as Keras' example of video classification does.

First every job is a fresh process, timed from its start to its end: clips to shards, or to arrays. Then, in
one process, in turn: windows read from the shards by the trainer's pipeline, or from clips that are decoded
again. Last, the peak memory of the jobs, with few clips and with more.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.baselines.opencv_arrays import batches as decoded_batches
from benchmarks.clip_data import (
    FPS,
    LONG_FRAMES,
    LONG_SIZE,
    long_clips,
    long_clips_job,
    long_data_set,
)
from benchmarks.jobs import call, result_of, seconds_of
from benchmarks.process_memory import HAS_PROC, peak_memory
from benchmarks.rows import Row, Target
from benchmarks.trainers import READERS, train_files
from pipeline.command_line.errors import WorkError
from pipeline.dataset.reader import Dataset
from trainer.input.feeds import Part, training_part
from trainer.input.frame_view import FrameView
from trainer.training.settings import TrainingSettings

_WINDOW, _BATCH_SIZE = 16, 32
# Clips: few to be read again as an epoch, and many to be timed; passes of ours over the shards; rounds.
_FULL, _QUICK = (64, 128, 5, 2), (32, 40, 2, 1)
_OPENCV = "OpenCV to arrays in memory, as Keras' example"


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of speed, of an epoch, and of memory.

    Raises:
        WorkError: if both sides do not hold as many frames.
    """
    num_few, num_many, passes, num_rounds = _QUICK if quick else _FULL
    few, many = (long_clips(directory, number) for number in (num_few, num_many))
    speeds = tuple(_jobs(directory, many, num_many) for _ in range(num_rounds))
    data = long_data_set(directory, num_many)
    epochs = tuple(_epochs(data, few, passes) for _ in range(num_rounds))
    size = f"{LONG_SIZE}x{LONG_SIZE}"
    rows = [
        Row(
            "clips-opencv",
            f"clips to a data set of {FPS} frames/s, {size}, clips/s",
            _OPENCV,
            speeds,
            digits=1,
            target=Target(2),
        ),
        Row(
            "epoch-opencv",
            f"a later epoch of random windows of {_WINDOW} frames, clips/s",
            "OpenCV decoding the clips again",
            epochs,
            target=Target(10),
        ),
    ]
    return [*rows, *(_memory(directory, few, many) if HAS_PROC else ())]


def _jobs(directory: Path, source: Path, count: int) -> tuple[float, float]:
    """Clips a second of both jobs."""
    data = directory / "opencv-shards"
    shutil.rmtree(data, ignore_errors=True)
    seconds = seconds_of(long_clips_job(source, data))
    start = time.monotonic()
    found = result_of(_to_arrays(source))
    other = time.monotonic() - start
    splits = Dataset.open(str(data)).manifest.splits.values()
    clips = sum(split.num_sequences for split in splits)
    if found != {"clips": count, "frames": count * LONG_FRAMES} or clips != count:
        raise WorkError(f"{found} by OpenCV, {clips} records here, expected {count} of {LONG_FRAMES} frames")
    shutil.rmtree(data)
    return count / seconds, count / other


def _to_arrays(source: Path) -> list[str]:
    return call("baselines.opencv_arrays", "load_all", source=source, fps=FPS, size=LONG_SIZE)


def _epochs(data: Path, source: Path, passes: int) -> tuple[float, float]:
    """Clips a second of windows from shards, and of windows from clips that are decoded again."""
    files = train_files(str(data)).shown(FrameView(_WINDOW, is_random=True))
    settings = TrainingSettings(batch_size=_BATCH_SIZE, num_frames=_WINDOW)
    steps = passes * files.num_sequences // _BATCH_SIZE
    ours = training_part(files, settings, min(READERS, len(files.paths)), 0, Part(0, 1)).take(steps)
    other = decoded_batches(str(source), FPS, LONG_SIZE, _WINDOW, _BATCH_SIZE)
    return _rate(features["frames"] for features, _ in ours), _rate(frames for frames, _ in other)


def _rate(batches: Iterable[Any]) -> float:
    start = time.perf_counter()
    shapes = [tuple(frames.shape) for frames in batches]
    if set(shapes) != {(_BATCH_SIZE, _WINDOW, LONG_SIZE, LONG_SIZE, 3)}:
        raise WorkError(f"batches of {set(shapes)}")
    return len(shapes) * _BATCH_SIZE / (time.perf_counter() - start)


def _memory(directory: Path, few: Path, many: Path) -> list[Row]:
    """Each side with many clips, beside itself with few; then one beside the other."""
    peaks: dict[str, list[float]] = {"ours": [], "other": []}
    for source in (few, many):
        data = directory / "opencv-shards"
        shutil.rmtree(data, ignore_errors=True)
        peaks["ours"].append(peak_memory(long_clips_job(source, data)) / 2**20)
        shutil.rmtree(data)
        peaks["other"].append(peak_memory(_to_arrays(source)) / 2**20)
    fewer, number = (each.name.rpartition("-")[2] for each in (few, many))
    what, itself = f"peak memory, MiB, {number} clips", f"itself, {fewer}"
    flat, half = Target(1.1, is_least=False), Target(0.5, is_least=False)
    sides = (
        ("clips-opencv-memory-ours", f"{what}, to shards", itself, peaks["ours"][::-1], flat),
        ("clips-opencv-memory-theirs", f"{what}, {_OPENCV}", itself, peaks["other"][::-1], None),
        ("clips-opencv-memory", what, _OPENCV, [peaks["ours"][1], peaks["other"][1]], half),
    )
    return [
        Row(key, about, other, ((figures[0], figures[1]),), is_size=True, target=target)
        for key, about, other, figures, target in sides
    ]
