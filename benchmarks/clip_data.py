"""Data sets of clips that benchmarks read and train on: digits that move, and a longer, larger clip."""

from __future__ import annotations

from pathlib import Path

from benchmarks.jobs import command, seconds_of
from benchmarks.tables.clips import make_clips

FPS = 8
LONG_SIZE, LONG_FRAMES = 128, 80


def digits_data_set(directory: Path, num_clips: int, seed: int = 0, channels: int = 3) -> Path:
    """The data set of `examples.moving_digits`, made or found whole: clips of 16 frames, 64x64."""
    data, jobs = digits_jobs(directory, num_clips, seed, channels)
    for job in jobs:
        seconds_of(job)
    return data


def digits_jobs(
    directory: Path, num_clips: int, seed: int, channels: int, *captions: str
) -> tuple[Path, list[list[str]]]:
    """Where `digits_data_set` is, and the jobs that make its clips and it; ``--captions`` adds captions."""
    source = directory / f"digits-{num_clips}-{seed}"
    data = directory / f"digits-{num_clips}-{seed}-{channels}-data"
    listed = source / "captions.csv" if captions else source
    size = {"frame_size": 64, "channels": channels, "fps": FPS, "seed": seed}
    clips = {"output_dir": source, "num_clips": num_clips, "seed": seed}
    return data, [
        command("examples.moving_digits", *captions, **clips),
        command("pipeline.generate", dataset="clips", source=listed, output_dir=data, **size),
    ]


def long_clips(directory: Path, count: int) -> Path:
    """The folder of copies of a clip of 10 s; see `benchmarks.tables.clips.make_clips`."""
    source = directory / f"bikes-{count}"
    return source if source.is_dir() else make_clips(source, count)


def long_clips_job(source: Path, data: Path) -> list[str]:
    """A job that makes a data set of such a folder: records of `LONG_FRAMES` frames, `LONG_SIZE` square."""
    size = {"frame_size": LONG_SIZE, "fps": FPS, "max_frames": LONG_FRAMES}
    return command("pipeline.generate", dataset="clips", source=source, output_dir=data, **size)


def long_data_set(directory: Path, count: int) -> Path:
    """The data set of `long_clips`, made or found whole."""
    data = directory / f"bikes-{count}-data"
    seconds_of(long_clips_job(long_clips(directory, count), data))
    return data
