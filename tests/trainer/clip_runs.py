"""Runs on small data sets of frames, in every layout: of classifiers and of captioners."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from model.captions import (
    END,
    PAD,
    START,
    UNKNOWN,
    CaptionerOptions,
    build_captioner,
    clip_states,
    decoder_of,
)
from model.frames import VideoClassifierOptions, build_video_classifier
from pipeline.clips.definition import Clips
from pipeline.dataset.features import ClassLabel, Feature, Tensor, Text
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
from trainer.training.settings import DESCRIBE, Execution, TrainingSettings
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
class TitledScenes(Scenes):
    """Frames with one text and a class each."""

    name = "titled_scenes"

    @property
    def features(self) -> Mapping[str, Feature]:
        return {**super().features, "caption": Text()}

    def example(self, split: str, index: int) -> Mapping[str, Any]:
        example = super().example(split, index)
        return {**example, "caption": f"{('the', 'a')[index % 2]} scene at {SCENES[example['scene']]}"}


@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        settings: of the training.
        data, directory: of the data set, and of the run.
        classes: names of the classes; none of a captioner.
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
        if settings.task == DESCRIBE:
            units, attention, tied = settings.units, settings.attention, settings.tie_embeddings
            captioner = CaptionerOptions(units=units, attention=attention, tied=tied)
            classifier = build_captioner(shape, decoder_of(trained).words, captioner)
        else:
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

    def write(
        self, frames: npt.NDArray[np.uint8], length: Any = None
    ) -> tuple[npt.NDArray[np.int64], list[str], npt.NDArray[np.float64]]:
        """Tokens, captions and log-probabilities: the most probable word after the other, by whole calls."""
        if length is None:
            length = np.full(len(frames), frames.shape[1], np.int32)
        count, places = len(frames), self.settings.max_words + 1
        tokens, before = np.zeros((2, count, places), np.int64)
        scores, has_ended = np.zeros(count), np.zeros(count, bool)
        before[:, 0] = START
        for place in range(places):
            given = {"frames": frames, "length": length, "words": before}
            found = np.array(self.classifier(given))[:, place]
            found[:, [PAD, START, UNKNOWN]] = 0
            if place == places - 1:
                found[:, UNKNOWN:] = 0
            best = found.argmax(axis=-1)
            tokens[~has_ended, place] = best[~has_ended]
            scores[~has_ended] += np.log(found[np.arange(count), best], dtype=np.float64)[~has_ended]
            has_ended |= best == END
            before[:, place + 1 : place + 2] = best[:, None]
        words = decoder_of(self.classifier).words
        captions = [" ".join(words[token] for token in row if token > UNKNOWN) for row in tokens]
        return tokens, captions, scores


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


def _spread_captions(captioner: keras.Model) -> None:
    """Let the decoder begin with states that differ from clip to clip, and choose words with certainty."""
    random, decoder = np.random.default_rng(0), decoder_of(captioner)
    frames = captioner.input["frames"]
    values = random.random((64, 1, 1, 1, 1)) + random.random((64, 4, *frames.shape[2:])) / 4
    encoder = keras.Model(frames, clip_states(captioner, frames))
    encoded = encoder((200 * values).astype(np.uint8))
    last = np.asarray(decoder.last(encoded, random.integers(1, 5, 64)), np.float32)
    for layer in (decoder.hidden, decoder.carry):
        found = last @ np.asarray(layer.kernel)
        gain = 2 / found.std(axis=0)
        layer.kernel.assign(layer.kernel * gain)
        layer.bias.assign(-gain * found.mean(axis=0))
    decoder.output_words.kernel.assign(5 * decoder.output_words.kernel)


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
    if settings.task == DESCRIBE:
        _spread_captions(classifier)
    directory.mkdir()
    write_config(run, plan.settings, execution, str(data), manifest, {})
    save_checkpoint(run.model_path, classifier, TrainingState())


def _clips(source: Path, **settings: Any) -> Clips:
    return Clips(source=str(source), frame_size="32x24", fps=12.0, splits="50,25,25", **settings)


def _captions(paths: Iterable[str]) -> Iterator[str]:
    """Rows of a CSV: a clip has one caption or two."""
    for path in paths:
        label, number = path.removesuffix(".mp4").split("/")
        yield f"clips/{path},{label} number {number}"
        if int(number) % 2:
            yield f"clips/{path},that is a {label}"


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
    table = root / "captions.csv"
    table.write_text("\n".join(["path,caption", *_captions(contents)]), encoding="utf-8")
    kinds: dict[str, tuple[Callable[[], Definition], tuple[str, ...], dict[str, Any]]] = {
        "tfds": (lambda: _clips(source), CLASSES, {"num_frames": 5, "crop": "20x12", "flip": True}),
        "sequence_example": (
            lambda: _clips(source, records="sequence_example", image_encoding="png"),
            CLASSES,
            {"num_frames": 6, "frame_step": 3, "temporal": "mean"},
        ),
        "own": (Scenes, SCENES, {"num_frames": 3, "precision": "mixed_bfloat16"}),
        "captions": (
            lambda: _clips(table),
            (),
            {
                "task": DESCRIBE,
                "num_frames": 5,
                "crop": "20x12",
                "max_words": 4,
                "attention": True,
                "units": 16,
            },
        ),
        "sequence_captions": (
            lambda: _clips(table, records="sequence_example", image_encoding="png"),
            (),
            {"task": DESCRIBE, "num_frames": 6, "frame_step": 3, "max_words": 7, "units": 8},
        ),
        "titles": (
            TitledScenes,
            SCENES,
            {"task": DESCRIBE, "num_frames": 3, "precision": "mixed_bfloat16", "tie_embeddings": True},
        ),
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
