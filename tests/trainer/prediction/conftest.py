"""A data set of clips, a run that was trained on it for a moment, and both of a kind of one's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.clips.definition import Clips
from pipeline.dataset.features import ClassLabel, Feature, Tensor
from pipeline.definition import Definition
from pipeline.generate import generate
from tests.pipeline.clips.clip_folders import clip, write
from tests.trainer.clip_runs import Run, run_maker
from trainer.frames.kind import FramesKind
from trainer.input.split_files import read_manifest
from trainer.training.loop import train
from trainer.training.settings import TrainingSettings

CLASSES = ("clap", "walk", "wave")


@dataclass(frozen=True)
class Gestures(Definition):
    """Noise of 1 to 11 frames, with the shape and the classes of the clips."""

    name = "gestures"

    num_train: int = 2
    num_test: int = 11
    sequences_per_shard: int | None = 100

    @property
    def features(self) -> Mapping[str, Feature]:
        return {"frames": Tensor("uint8", (None, 24, 32, 3), "zlib"), "label": ClassLabel(CLASSES)}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        frames = self.random(split, index).integers(0, 256, (1 + index, 24, 32, 3), np.uint8)
        return {"frames": frames, "label": index % 3}


@pytest.fixture(scope="session")
def clip_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 2, 8, 14 and 20 chosen frames in every class."""
    contents = {
        f"{label}/{number}.mp4": clip(10 * seed + number, 6 + 18 * number)
        for seed, label in enumerate(CLASSES)
        for number in range(4)
    }
    return write(tmp_path_factory.mktemp("clips") / "source", contents)


@pytest.fixture(scope="session")
def clip_data(clip_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of them: every clip is one record."""
    return make_clips(clip_source, tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(scope="session")
def clip_run(clip_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps that was shown 6 frames of each."""
    directory = tmp_path_factory.mktemp("runs") / "clips"
    settings = TrainingSettings(epochs=1, steps_per_epoch=2, batch_size=2, readers=1, num_frames=6, units=8)
    train(settings, str(clip_data), str(directory))
    return directory


@pytest.fixture(scope="session")
def gesture_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of a kind of one's own."""
    directory = tmp_path_factory.mktemp("gestures") / "data"
    generate(Gestures(), str(directory), direct_num_workers=1)
    return directory


@pytest.fixture(scope="session")
def gesture_run(clip_run: Path, gesture_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, as if it had been trained on the gestures."""
    directory = tmp_path_factory.mktemp("runs") / "gestures"
    shutil.copytree(clip_run, directory)
    described = FramesKind().config(read_manifest(str(gesture_data)))
    change_config(directory, dataset=described)
    return directory


@pytest.fixture(scope="session")
def described_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of clips that `make_described` describes."""
    return tmp_path_factory.mktemp("described") / "clips"


@pytest.fixture(scope="session")
def make_described(described_source: Path) -> Callable[[str], Run]:
    """Makes a run of a captioner by its name, once; see `run_maker`."""
    return run_maker(described_source.parent)


@pytest.fixture(scope="session")
def described(make_described: Callable[[str], Run]) -> Run:
    """A run that describes clips of 5 frames with at most 4 words."""
    return make_described("captions")


def make_clips(source: Path, directory: Path, **settings: Any) -> Path:
    """A data set of clips of 32x24 pixels, with one shard a split."""
    given = {"frame_size": "32x24", "splits": "50,25,25", "sequences_per_shard": 100, **settings}
    definition = Clips(source=str(source), **given)
    generate(definition.listed(str(directory)), str(directory), direct_num_workers=1)
    return directory


def change_config(run: Path, **parts: Mapping[str, Any]) -> None:
    """Change what a run's ``config.json`` says."""
    path = run / "config.json"
    config = json.loads(path.read_text())
    for part, values in parts.items():
        config[part] |= values
    path.write_text(json.dumps(config))
