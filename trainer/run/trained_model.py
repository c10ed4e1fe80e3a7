"""Loads a trained model, with its observation: how its training showed sequences to it."""

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
        classifier: maps frames, float32 or uint8 (batch, timesteps, S, S, 1), to probabilities of "right",
            (batch, 1).
        step: number of steps it was trained for.
        observation: how sequences were shown to it in training.
        sha256: hexadecimal digest of its file.
    """

    classifier: keras.Model
    step: int
    observation: Observation
    sha256: str

    @property
    def image_size(self) -> int:
        """Height and width of a frame in pixels, S."""
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
    observation = trained_observation(run)
    # Copy first: a training may replace the file between loading and digest.
    with temporary_copy(path) as copy:
        try:
            with device_errors_explained():
                classifier = keras.models.load_model(copy)
            if len(classifier.input_shape) != len(("batch", "timestep", "row", "column", "channel")):
                raise ValueError(f"takes inputs of shape {classifier.input_shape}, not frames")
            if classifier.output_shape != (None, 1):
                raise ValueError(
                    f"answers with {classifier.output_shape}, not with a probability of one class"
                )
            step = read_state(copy).step
        except WorkError:
            raise
        except Exception as error:  # Zip, JSON, HDF5 and Keras raise errors of their own.
            reason = one_line(error).replace(copy, path)[:200]
            raise RequestError(f"{path} is damaged ({reason}); train again") from error
        classifier = without_cudnn(classifier) if by_xla() else classifier
        return TrainedModel(classifier, step, observation, file_sha256(copy))


def trained_observation(run: RunDirectory) -> Observation:
    """How a run's training showed sequences to its models; unchanged if there is no ``config.json``.

    Raises:
        RequestError: if ``config.json`` is damaged.
    """
    config = run.read_config()
    if config is None:
        return Observation()
    try:
        return TrainingSettings.from_json(config).observation
    except LookupError as error:
        raise RequestError(f"{run.config_path} is damaged; restore it or train again") from error
