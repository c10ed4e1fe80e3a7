"""What can be measured, by name; a module for each table.

A section of the comparison has ``measure(directory, quick)``, which gives rows. Any other table has
``measure(directory, **settings)``, which gives figures to be written as JSON, or yields them whenever there
are more, and ``table(figures)``, which gives their markdown; it may have ``problems(figures)``, what failed.
Data sets and models go to the directory, and stay there to be found by the next run. Such a module does not
import TensorFlow by itself, for documents are written from its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

# Of the comparison, in the order in which they run and stand in tables, with the keys of their rows. What a
# machine or a quick run lacks the means for, a section leaves out.
SECTIONS = {
    "generation": (
        *("generate-path-tfds", "generate-path-tfds_blocks", "generate-path-loop"),
        *("generate-path-tfds-running", "generate-path-tfds_blocks-running", "generate-path-loop-running"),
        *("generate-path-start-up", "generate-frames-tfds", "generate-frames-tfds_blocks"),
        *("generate-frames-loop", "generate-frames-tfds-running", "generate-frames-tfds_blocks-running"),
        *("generate-frames-loop-running", "generate-frames-start-up", "generate-synced"),
    ),
    "record_size": ("bytes-path-tfds", "bytes-path-entropy", "bytes-frames-tfds", "bytes-frames-entropy"),
    "verification": ("verify-path", "verify-frames", "verify-zeros"),
    "reading": ("read-paths", "read-frames"),
    "training": ("train-frames", "train"),
    "evaluation": ("evaluate",),
    "memory": ("memory-generate", "memory-verify", "memory-read", "memory-evaluate"),
    "zero_errors": ("zero-errors",),
    "clips": (
        *("clips-jpeg-png", "clips-png-png", "clips-png-png-bytes", "clips-jpeg-jpeg"),
        *("clips-jpeg-jpeg-bytes", "clips-jpeg-loop", "clips-jpeg-ffmpeg"),
        *("clips-memory-number", "clips-memory-length"),
    ),
    "clip_reading": ("read-windows-tfds", "read-windows-map-fn", "read-clips-map-fn"),
    "clip_training": ("train-clips-arrays", "train-clips-keras", "train-clips-peak", "train-clips-bf16"),
    "clip_arrays": (
        *("clips-opencv", "epoch-opencv"),
        *("clips-opencv-memory-ours", "clips-opencv-memory-theirs", "clips-opencv-memory"),
    ),
    "describing": ("describe-loop", "describe-beam"),
}


@dataclass(frozen=True)
class Table:
    """A table, or a section of the comparison.

    Attributes:
        command: what measures it again.
        settings: by name, the default, and the value of a quick run; a list is one value.
        tensorflow: whether it is to be imported before the module.
        linux: whether it needs /proc and processes that are held to cores.
    """

    command: str
    settings: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    tensorflow: bool = False
    linux: bool = False


_STAGES = {
    "rounds": (5, 1),
    "num_path": (2_000_000, 50_000),
    "num_frames": (100_000, 2_000),
    "num_trained": (3_200, 320),
    "num_judged": (5_000, 300),
    "num_shards": (5_000, 50),
}
_ENGINES = {
    "rounds": (3, 1),
    "num_sequences": (20_000, 20_000),
    "num_shards": (200, 200),
    "flink_home": ("", ""),
}
_GPU = {
    "backends": (["jax", "tensorflow"],) * 2,
    "device": ("gpu", "gpu"),
    "batch_sizes": ([256, 1024, 8192], [256]),
    "steps": (100, 10),
    "rounds": (3, 1),
    "image_size": (50, 50),
    "num_path": (2_000_000, 50_000),
    "num_frames": (200_000, 10_000),
}
_BREAKDOWN = {
    "num_train": (2_000_000, 100_000),
    "num_read": (1_000_000, 100_000),
    "num_judged": (10_000, 500),
    "num_large": (48, 8),
    "num_small": (400, 120),
}
_OBSERVATIONS = {"epochs": (8, 1), "steps_per_epoch": (390, 20), "batch_size": (64, 64)}
_SEEDS = {"num_seeds": (5, 1), "epochs": (4, 1), "steps_per_epoch": (200, 20)}
_CLIP_SEEDS = {"num_seeds": (3, 1), "num_clips": (7_200, 400), "epochs": (6, 1)}
_CAPTIONING = {
    "num_seeds": (1, 1),
    "num_clips": (16_000, 240),
    "epochs": (8, 1),
    "num_lines": (8_000, 500),
    "num_judged": (1_000, 100),
    "line_epochs": (4, 1),
}
_TENSORFLOW = ("reading", "training", "clip_reading", "clip_training", "clip_arrays", "describing")

TABLES = {
    **{
        name: Table(f'make bench ROWS="{name}"', {}, name in _TENSORFLOW, name == "memory")
        for name in SECTIONS
    },
    "breakdown": Table("make breakdown", _BREAKDOWN, linux=True),
    "stages": Table("make scaling", _STAGES, linux=True),
    "engines": Table("make scaling", _ENGINES),
    "many_shards": Table("make scaling", {"rounds": (5, 1), "num_shards": (100_000, 1_000)}, linux=True),
    "resuming": Table("make scaling", {"rounds": (5, 1), "num_path": (6_000_000, 100_000)}, tensorflow=True),
    "seeds": Table("make seeds", _SEEDS, tensorflow=True),
    "clip_seeds": Table("make seeds-clips", _CLIP_SEEDS),
    "captioning": Table('make bench ROWS="captioning"', _CAPTIONING),
    "observations": Table("make observations", _OBSERVATIONS, tensorflow=True),
    "gpu": Table("make gpu", _GPU),
}


def module_of(name: str) -> ModuleType:
    """The module that measures a table."""
    return import_module(f"{__name__}.{name}")
