"""Small data sets of frames that tests train on; each is made once a process."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from bouncing_balls import BouncingBalls

from pipeline.clips.definition import Clips
from pipeline.definition import Definition
from pipeline.generate import generate
from tests.pipeline.clips.clip_folders import class_folders, clip, write

CLASSES = ("cat", "dog", "emu")


def balls(directory: Path, **settings: int) -> Path:
    """Videos of 24x32 pixels in colour, 8 to 20 frames, of three classes: a kind of a user's own."""
    numbers = {"num_train": 240, "num_validation": 30, "num_test": 60, "sequences_per_shard": 40, **settings}
    return copied(BouncingBalls(seed=3, **numbers), directory)


def clips(directory: Path, **settings: object) -> Path:
    """Clips of three classes, 16x12 pixels, 8 frames each but for one of 20, in records of up to 12."""
    made = _source()
    given = {"frame_size": "16x12", "fps": 12.0, "max_frames": 12, "splits": "60,20,20", **settings}
    return copied(Clips(source=made.name, sequences_per_shard=5, **given), directory)  # type: ignore[arg-type]


@cache
def _source() -> "tempfile.TemporaryDirectory[str]":
    made = tempfile.TemporaryDirectory()
    contents = class_folders(CLASSES, 10)
    # 24 frames a second: 8 and 20 of 12 a second.
    contents = {name: clip(seed, 16) for seed, name in enumerate(contents)}
    write(Path(made.name), {**contents, "cat/long.mp4": clip(100, 40)})
    return made


def copied(definition: Definition, directory: Path) -> Path:
    return Path(shutil.copytree(_made(definition).name, directory, dirs_exist_ok=True))


@cache
def _made(definition: Definition) -> "tempfile.TemporaryDirectory[str]":
    made = tempfile.TemporaryDirectory()
    generate(definition, made.name, direct_num_workers=1)
    return made
