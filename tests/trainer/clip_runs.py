"""Runs on small data sets of frames, in every layout, that exports are made of."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from model.frames import VideoClassifierOptions, build_video_classifier
from pipeline.clips.definition import Clips
from pipeline.dataset.features import ClassLabel, Feature, Tensor
from pipeline.dataset.reader import Dataset
from pipeline.definition import Definition
from pipeline.generate import generate
from tests.pipeline.clips.clip_folders import clip, write
from tests.trainer.scenes_kind import Scenes
from trainer.distributed.strategy import distributed
from trainer.input.split_files import read_manifest, split_files
from trainer.run.identity import write_config
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.build import build_training_model
from trainer.training.checkpoints import save_checkpoint
from trainer.training.plan import make_plan
from trainer.training.settings import Execution, TrainingSettings
from trainer.training.training_state import TrainingState

CLASSES = ("café au lait", "jump", "run", "swim")
SCENES = ("day", "dusk", "night")


@dataclass(frozen=True)
class LargeScenes(Scenes):
    """Frames that are large enough for networks of `keras.applications`."""

    name = "large_scenes"

    @property
    def features(self) -> Mapping[str, Feature]:
        return {"frames": Tensor("uint8", (2, 32, 32, 1), "zlib"), "scene": ClassLabel(SCENES)}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        frames = self.random(split, index).integers(0, 256, (2, 32, 32, 1), np.uint8)
        return {"frames": frames, "scene": index % 3}


@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        settings: of the training.
        data, directory: of the data set, and of the run.
        classes: names of the classes.
    """

    settings: TrainingSettings
    data: Path
    directory: Path
    classes: tuple[str, ...]

    @cached_property
    def classifier(self) -> keras.Model:
        """In float32, whatever the run's precision."""
        trained = load_trained_model(RunDirectory(str(self.directory))).classifier
        shape = trained.input["frames"].shape[2:]
        settings = self.settings
        options = VideoClassifierOptions(settings.architecture or "conv", settings.temporal)
        classifier = build_video_classifier(shape, len(self.classes), options)
        classifier.set_weights(trained.get_weights())
        return classifier

    @cached_property
    def records(self) -> list[bytes]:
        dataset = Dataset.open(str(self.data))
        return [
            record
            for split in ("train", "test")
            for record in dataset.read(split, 0, min(12, dataset.num_sequences(split)))
        ]

    @cached_property
    def windows(self) -> dict[str, npt.NDArray[Any]]:
        """What is shown of the records, computed by NumPy and Pillow."""
        definition = Dataset.open(str(self.data)).manifest.definition
        stored = [_pixels(definition.decode(record)) for record in self.records]
        pairs = [_window(frames, self.settings) for frames in stored]
        assert len({length for _, length in pairs}) > 1
        return {
            "frames": np.stack([frames for frames, _ in pairs]),
            "length": np.array([length for _, length in pairs], np.int32),
        }

    def answer(self, frames: npt.NDArray[np.uint8], length: Any = None) -> npt.NDArray[np.float32]:
        """The Keras model's."""
        if length is None:
            length = np.full(len(frames), frames.shape[1], np.int32)
        return np.asarray(self.classifier({"frames": frames, "length": length}))


def _pixels(example: Any) -> npt.NDArray[np.uint8]:
    if "frames" in example:
        return np.asarray(example["frames"])
    return np.stack([np.asarray(Image.open(io.BytesIO(image))) for image in example["video"]])


def _window(stored: npt.NDArray[np.uint8], settings: TrainingSettings) -> tuple[npt.NDArray[np.uint8], int]:
    """The middle frames, as many as there are; and of them the middle."""
    assert settings.num_frames is not None
    step = settings.frame_step
    real = min(settings.num_frames, -(-len(stored) // step))
    before = (len(stored) - (step * (real - 1) + 1)) // 2
    shown = stored[before::step][:real]
    if settings.crop_size:
        height, width = settings.crop_size
        top, left = (shown.shape[1] - height) // 2, (shown.shape[2] - width) // 2
        shown = shown[:, top : top + height, left : left + width]
    window = np.zeros((settings.num_frames, *shown.shape[1:]), np.uint8)
    window[:real] = shown
    return window, real


def _initialize(settings: TrainingSettings, data: Path, directory: Path) -> None:
    """Make a run that has a model without a training: its answers differ more from clip to clip."""
    manifest, execution, run = read_manifest(str(data)), Execution(), RunDirectory(str(directory))
    files = split_files(str(data), manifest, "train")
    plan = make_plan(settings, execution, files, 1)
    with distributed("test", execution, None, {}) as distribution:
        classifier = build_training_model(plan, files, distribution, None).classifier
    random = np.random.default_rng(0)
    *weights, last, bias = classifier.get_weights()
    classifier.set_weights([*weights, 2 * last, bias + random.normal(0, 0.1, bias.shape)])
    directory.mkdir()
    write_config(run, plan.settings, execution, str(data), manifest, {})
    save_checkpoint(run.model_path, classifier, TrainingState())


def _clips(source: Path, **settings: Any) -> Clips:
    return Clips(source=str(source), frame_size="32x24", fps=12.0, splits="50,25,25", **settings)


def run_maker(root: Path) -> Callable[[str], Run]:
    """Makes a run by its name, once; it has the weights of its first step."""
    made: dict[str, Run] = {}
    lengths = (4, 30, 12, 44)
    contents = {
        f"{label}/{number}.mp4": clip(10 * place + number, lengths[number])
        for place, label in enumerate(CLASSES)
        for number in range(4)
    }
    source = write(root / "clips", contents)
    kinds: dict[str, tuple[Callable[[], Definition], tuple[str, ...], dict[str, Any]]] = {
        "tfds": (lambda: _clips(source), CLASSES, {"num_frames": 5, "crop": "20x12", "flip": True}),
        "sequence_example": (
            lambda: _clips(source, records="sequence_example", image_encoding="png"),
            CLASSES,
            {"num_frames": 6, "frame_step": 3, "temporal": "mean"},
        ),
        "own": (Scenes, SCENES, {"num_frames": 3, "precision": "mixed_bfloat16"}),
        "application": (LargeScenes, SCENES, {"architecture": "MobileNetV2", "freeze_backbone": True}),
    }

    def make(name: str) -> Run:
        if name not in made:
            definition, classes, changes = kinds[name]
            settings = TrainingSettings(batch_size=4, steps_per_epoch=1, **changes)
            data, directory = root / name / "data", root / name / "run"
            generate(definition(), str(data), direct_num_workers=1)
            _initialize(settings, data, directory)
            made[name] = Run(settings, data, directory, classes)
        return made[name]

    return make
