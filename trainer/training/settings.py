"""Settings of a training run, and of how it is carried out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from model import LINES, Observation
from model.execution import COMPILERS
from model.frames import TEMPORAL
from pipeline.command_line.errors import RequestError
from trainer.command_line.flags import check_dispatcher
from trainer.input.frame_view import SAMPLINGS, WINDOW

SCHEDULES = ("cosine", "constant")
DISTRIBUTIONS = ("auto", "none", "mirrored", "multi_worker")
# TF32: float32, but GPUs round the factors of products to 10 mantissa bits.
PRECISIONS = ("float32", "tf32", "mixed_bfloat16", "mixed_float16")
DEFAULT_CHECKPOINT_STEPS = 500

CLASS_WEIGHTS = ("balanced",)
CLASSIFY, DESCRIBE = TASKS = ("classify", "describe")

# Settings of moving lines only, of all other data sets of frames only, and of describing in words only.
OF_LINES = ("line", "window", "noise")
OF_FRAMES = (
    *("num_frames", "sampling", "frame_step", "crop", "flip", "brightness", "contrast", "temporal", "units"),
    *("backbone_weights", "backbone_sha256", "freeze_backbone", "class_weights", "label_smoothing"),
)
OF_CAPTIONS = (
    *("max_words", "min_word_count", "vocabulary_sha256", "attention", "tie_embeddings"),
    *("init_from", "init_from_sha256"),
)

_MAX_PEER_TIMEOUT = 1_000_000  # `poll` takes milliseconds in 32 bits.


@dataclass(frozen=True)
class TrainingSettings:
    """A validated request: everything that the weights of a run depend on, besides the data set.

    Attributes:
        epochs: number of epochs; each ends with a validation.
        steps_per_epoch: number of batches in an epoch; None means one pass over the training split.
        batch_size: number of sequences in a step, over all replicas.
        learning_rate: Adam's learning rate, the highest of the run.
        warmup_steps: number of steps over which the learning rate rises from 0.
        schedule: learning rate after the warm-up: "cosine" falls along half a cosine to 0 at the last step,
            "constant" stays.
        clip_norm: gradients with a larger global norm are scaled down to this norm.
        early_stopping: stop after this number of epochs without a lower validation loss; None never stops.
        architecture: name of the network; None chooses the default of the kind of data set.
        precision: one of `PRECISIONS`: a Keras dtype policy, or "tf32".
        deterministic: use only operations with bitwise reproducible results.
        line: what a frame shows; see `model.Observation`.
        window: number of consecutive frames taken from a random place of each sequence; None takes all.
        noise: share of pixels replaced by salt and pepper.
        num_frames: number of frames of a clip that are shown; None chooses the default of the kind.
        sampling: how they are chosen; see `trainer.input.frame_view.FrameView`.
        frame_step: distance of consecutive frames of a window.
        crop: part of every frame that is shown, in pixels: a side, or WIDTHxHEIGHT; None shows all of it.
        flip: whether half of the clips are mirrored left to right.
        brightness: largest share of white that is added or taken away.
        contrast: largest share by which the contrast rises or falls.
        temporal: what goes over time; see `model.frames.over_time.TEMPORAL`.
        units: of the LSTM.
        backbone_weights: file of weights for a network of `keras.applications`.
        backbone_sha256: digest of that file.
        freeze_backbone: whether the encoder of frames keeps its weights.
        class_weights: "balanced" weighs every class by the inverse of its share; None weighs all alike.
        label_smoothing: share of every label that is spread over all classes.
        task: one of `TASKS`; None classifies where there are class labels.
        max_words: the most words of a caption; what comes after is cut off, and no longer ones are written.
        min_word_count: rarer words of the training split are unknown ones.
        vocabulary_sha256: digest of the words.
        attention: whether the decoder of captions looks at all frames before every word.
        tie_embeddings: whether words are told by the embeddings with which they are read.
        init_from: run directory of a classifier whose encoder of frames is taken.
        init_from_sha256: digest of its model.
        feeds: number of inputs that the shards are divided among; a process reads one or several. Part of
            the order of the data.
        readers: number of shards that each feed reads in parallel; None means 16, or the number of shards if
            that is smaller. Part of the order of the data.
        seed: seed of the initial weights, the order of the data, windows and noise.

    Raises:
        RequestError: if a value is wrong, with its flag.
    """

    epochs: int = 4
    steps_per_epoch: int | None = None
    batch_size: int = 32
    learning_rate: float = 0.0005
    warmup_steps: int = 0
    schedule: str = "cosine"
    clip_norm: float = 1.0
    early_stopping: int | None = None
    architecture: str | None = None
    precision: str = "float32"
    deterministic: bool = False
    line: str = "line"
    window: int | None = None
    noise: float = 0.0
    num_frames: int | None = None
    sampling: str = WINDOW
    frame_step: int = 1
    crop: str | None = None
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    temporal: str = TEMPORAL[0]
    units: int = 64
    backbone_weights: str | None = None
    backbone_sha256: str | None = None
    freeze_backbone: bool = False
    class_weights: str | None = None
    label_smoothing: float = 0.0
    task: str | None = None
    max_words: int = 20
    min_word_count: int = 1
    vocabulary_sha256: str | None = None
    attention: bool = False
    tie_embeddings: bool = False
    init_from: str | None = None
    init_from_sha256: str | None = None
    feeds: int = 1
    readers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_positive(
            self,
            *("epochs", "steps_per_epoch", "batch_size", "early_stopping", "window", "feeds", "readers"),
            *("num_frames", "frame_step", "units", "max_words", "min_word_count"),
        )
        if self.epochs * (self.steps_per_epoch or 1) >= 2**31:
            raise RequestError(f"--epochs {self.epochs}: give fewer, 2**31 steps are the most in a run")
        if not 0 <= self.seed < 2**32:
            raise RequestError(f"--seed {self.seed}: give a whole number from 0 to {2**32 - 1}")
        for name in ("learning_rate", "clip_norm"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number > 0):
                raise RequestError(f"--{name} {number}: give a number above 0")
        if not 0 <= self.noise < 1:
            raise RequestError(f"--noise {self.noise}: give a share of the pixels, from 0 to below 1")
        if self.warmup_steps < 0:
            raise RequestError(f"--warmup_steps {self.warmup_steps}: give a whole number of at least 0")
        for name in ("brightness", "contrast", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise RequestError(f"--{name} {getattr(self, name)}: give a number from 0 to below 1")
        _check_among(
            self, schedule=SCHEDULES, precision=PRECISIONS, line=LINES, sampling=SAMPLINGS, temporal=TEMPORAL
        )
        if self.task is not None:
            _check_among(self, task=TASKS)
        if self.class_weights is not None:
            _check_among(self, class_weights=CLASS_WEIGHTS)
        if self.crop is not None:
            _ = self.crop_size
        if self.batch_size % self.feeds:
            raise RequestError(
                f"--batch_size {self.batch_size}: {self.feeds} feeds cannot share it evenly;"
                f" give a multiple of {self.feeds}"
            )

    @property
    def dtype_policy(self) -> str:
        """The Keras dtype policy of the layers."""
        return "float32" if self.precision == "tf32" else self.precision

    @property
    def observation(self) -> Observation:
        """How a moving line is shown to the classifier."""
        return Observation(self.line, self.window, self.noise, self.seed)

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """Height and width of the part of every frame that is shown; None shows all of it."""
        if self.crop is None:
            return None
        match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", self.crop)
        size = match and (int(match[2] or match[1]), int(match[1]))
        if not size or not all(size):
            raise RequestError(f"--crop {self.crop}: give a side in pixels, or WIDTHxHEIGHT")
        return size

    def to_json(self) -> dict[str, Any]:
        """The settings as stored in ``config.json``: without those of other kinds of data sets."""
        others = _absent(is_of_frames=self.num_frames is not None, describes=self.task == DESCRIBE)
        return {name: value for name, value in asdict(self).items() if name not in others}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> TrainingSettings:
        """Read settings from ``config.json``.

        Raises:
            KeyError: if a setting is missing.
            RequestError: if a value is wrong.
        """
        others = _absent(is_of_frames="num_frames" in document, describes="task" in document)
        return cls(**{each.name: document[each.name] for each in fields(cls) if each.name not in others})


@dataclass(frozen=True)
class Execution:
    """How a run is carried out; a resumed run may use other values.

    Attributes:
        device: "auto", "cpu" or "gpu".
        compile: one of `model.execution.COMPILERS`.
        distribution: one of `DISTRIBUTIONS`.
        steps_per_execution: number of steps that run on the device without a return to Python.
        checkpoint_every: number of steps between checkpoints within an epoch; see `checkpoint_steps`.
        checkpoint_seconds: time between checkpoints within an epoch; None makes none by time.
        keep_checkpoints: number of newest checkpoints to keep, besides the best.
        on_corrupt: how to treat damaged records; see `trainer.input.skip_damaged_records.open_split`.
        profile: first and last step of a profile, counted from 1 at the start of the program; None makes no
            profile.
        connect_timeout: seconds to wait for the other processes of a cluster, or for a data service.
        peer_timeout: seconds after which a process of a cluster that is silent, or finishes nothing, is
            reported and the training ends.
        data_service: ``grpc://HOST:PORT`` of a tf.data service to read through; None reads in this process.

    Raises:
        RequestError: if a value is wrong, with its flag.
    """

    device: str = "auto"
    compile: str = "auto"
    distribution: str = "auto"
    steps_per_execution: int = 1
    checkpoint_every: int | None = None
    checkpoint_seconds: int | None = None
    keep_checkpoints: int = 2
    on_corrupt: str = "fail"
    profile: tuple[int, int] | None = None
    connect_timeout: int = 300
    peer_timeout: int = 600
    data_service: str | None = None

    def __post_init__(self) -> None:
        _check_positive(
            self,
            *("steps_per_execution", "checkpoint_every", "checkpoint_seconds"),
            *("keep_checkpoints", "connect_timeout", "peer_timeout"),
        )
        if self.peer_timeout > _MAX_PEER_TIMEOUT:
            raise RequestError(
                f"--peer_timeout {self.peer_timeout}: give at most {_MAX_PEER_TIMEOUT} seconds"
            )
        if self.checkpoint_steps is not None and self.checkpoint_steps % self.steps_per_execution:
            raise RequestError(
                f"--checkpoint_every {self.checkpoint_steps}: give a multiple of --steps_per_execution"
                f" {self.steps_per_execution}"
            )
        _check_among(self, compile=COMPILERS, distribution=DISTRIBUTIONS)
        if self.data_service is not None:
            check_dispatcher("--data_service", self.data_service)
        if self.profile is not None and not 1 <= self.profile[0] <= self.profile[1]:
            raise RequestError("--profile: give two steps, FIRST,LAST, as in 10,20")

    @property
    def checkpoint_steps(self) -> int | None:
        """Number of steps between checkpoints within an epoch; None if only `checkpoint_seconds` is given."""
        if self.checkpoint_every is None and self.checkpoint_seconds is None:
            return DEFAULT_CHECKPOINT_STEPS
        return self.checkpoint_every


def refuse(settings: TrainingSettings, names: Sequence[str], reason: str) -> None:
    """Refuse settings of another kind of data set or task.

    Raises:
        RequestError: if one of these is not as by default, with its flag.
    """
    default = TrainingSettings()
    if given := [name for name in names if getattr(settings, name) != getattr(default, name)]:
        raise RequestError(f"--{given[0]}: {reason}; leave it out")


def _absent(*, is_of_frames: bool, describes: bool) -> tuple[str, ...]:
    """Names of settings that ``config.json`` does not have."""
    others = OF_LINES if is_of_frames else OF_FRAMES
    return others if describes else (*others, "task", *OF_CAPTIONS)


def _check_positive(request: object, *names: str) -> None:
    for name in names:
        value = getattr(request, name)
        if value is not None and value < 1:
            raise RequestError(f"--{name} {value}: give a whole number of at least 1")


def _check_among(request: object, **choices: Sequence[str]) -> None:
    for name, known in choices.items():
        if getattr(request, name) not in known:
            raise RequestError(f"--{name} {getattr(request, name)}: give one of {', '.join(known)}")
