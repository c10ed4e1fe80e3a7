"""Loads a trained model, with the settings of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

import model as _registers_layers  # noqa: F401  # Keras finds the custom layers by this import.
from model import Observation, without_cudnn
from model.execution import by_xla
from pipeline.command_line.errors import RequestError, WorkError, one_line
from trainer.command_line.startup import reset_keras_settings
from trainer.distributed.device_errors import device_errors_explained
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import file_sha256, temporary_copy
from trainer.training.checkpoints import read_state
from trainer.training.settings import TrainingSettings


class NotFiniteError(WorkError):
    """A model's answers are not finite numbers."""


@dataclass(frozen=True)
class TrainedModel:
    """A model of a run.

    Attributes:
        classifier: of moving lines, maps frames, float32 or uint8 (batch, timesteps, S, S, 1), to
            probabilities of "right", (batch, 1); of others, see `model.frames.build_video_classifier` and
            `model.captions.build_captioner`.
        step: number of steps it was trained for.
        settings: of the run; the defaults if it has no ``config.json``.
        sha256: hexadecimal digest of its file.
    """

    classifier: keras.Model
    step: int
    settings: TrainingSettings
    sha256: str

    @property
    def observation(self) -> Observation:
        """How moving lines were shown to it in training."""
        return self.settings.observation

    @property
    def is_of_lines(self) -> bool:
        """Whether it classifies moving lines."""
        return not _is_of_clips(self.classifier)

    @property
    def is_captioner(self) -> bool:
        """Whether it describes clips; see `model.captions.build_captioner`."""
        return _is_captioner(self.classifier)

    @property
    def image_size(self) -> int:
        """Height and width of a frame of moving lines in pixels, S.

        Raises:
            RequestError: if the model is of another kind.
        """
        if not self.is_of_lines:
            raise RequestError(
                "the model was not trained on moving lines; name another --model_dir, or copy the config.json"
                " of its run beside it"
            )
        return int(self.classifier.input_shape[2])


def compile_for_inference(model: keras.Model) -> keras.Model:
    """Compile a model by XLA if `model.execution.by_xla`; return the same model."""
    model.compile(jit_compile=by_xla())
    return model


def check_finite(answers: npt.NDArray[np.floating[Any]]) -> None:
    """Check that all answers are finite.

    Raises:
        NotFiniteError: if one is not.
    """
    if not np.isfinite(answers).all():
        raise NotFiniteError("the model's answers are not finite numbers: its training diverged; train again")


def check_image_size(trained_on: int, image_size: int) -> None:
    """Check that sequences have the image size that the model was trained on.

    Raises:
        RequestError: if not, with both sizes.
    """
    if trained_on != image_size:
        raise RequestError(
            f"the model was trained on images of size {trained_on}, the sequences have size {image_size};"
            " name a matching --model_dir or --data_dir"
        )


def load_trained_model(run: RunDirectory, path: str | None = None) -> TrainedModel:
    """Load a model of a run.

    Args:
        run: the run directory.
        path: a ``.keras`` file of the run, such as a checkpoint; None takes ``model.keras``.

    Raises:
        RequestError: if the file does not exist, is damaged, or is no classifier of frames.
        WorkError: if the device fails.
    """
    reset_keras_settings()
    path = path or run.model_path
    if not tf.io.gfile.exists(path):
        if path != run.model_path:
            raise RequestError(f"{path}: no such file")
        reason = "has no model.keras" if tf.io.gfile.isdir(run.path) else "no such directory"
        raise RequestError(f"--model_dir {run.path}: {reason}; train with python -m trainer.task")
    settings = trained_settings(run)
    # Copy first: a training may replace the file between loading and digest.
    with temporary_copy(path) as copy:
        try:
            with device_errors_explained():
                classifier = keras.models.load_model(copy)
            _check_classifier(classifier)
            step = read_state(copy).step
        except WorkError:
            raise
        except Exception as error:  # Zip, JSON, HDF5 and Keras raise errors of their own.
            reason = one_line(error).replace(copy, path)[:200]
            raise RequestError(f"{path} is damaged ({reason}); train again") from error
        classifier = without_cudnn(classifier) if by_xla() else classifier
        return TrainedModel(classifier, step, settings, file_sha256(copy))


def _is_of_clips(classifier: keras.Model) -> bool:
    return {each.name for each in classifier.inputs} >= {"frames", "length"}


def _is_captioner(classifier: keras.Model) -> bool:
    return {each.name for each in classifier.inputs} == {"frames", "length", "words"}


def _check_classifier(classifier: keras.Model) -> None:
    """Raise ValueError for a model that is no classifier of frames."""
    shape = next((each for each in classifier.inputs if each.name == "frames"), classifier.inputs[0]).shape
    answers = classifier.output_shape
    if len(shape) != len(("batch", "timestep", "row", "column", "channel")):
        raise ValueError(f"takes inputs of shape {shape}, not frames")
    if _is_captioner(classifier):
        if len(answers) != 3:
            raise ValueError(f"answers with {answers}, not with probabilities of words")
    elif _is_of_clips(classifier):
        if len(answers) != 2 or answers[1] < 2:
            raise ValueError(f"answers with {answers}, not with probabilities of classes")
    elif answers != (None, 1):
        raise ValueError(f"answers with {answers}, not with a probability of one class")


def trained_settings(run: RunDirectory) -> TrainingSettings:
    """The settings of a run; the defaults if there is no ``config.json``.

    Raises:
        RequestError: if ``config.json`` is damaged.
    """
    config = run.read_config()
    if config is None:
        return TrainingSettings()
    try:
        return TrainingSettings.from_json(config)
    except LookupError as error:
        raise RequestError(f"{run.config_path} is damaged; restore it or train again") from error
