"""A trained model, and what it was trained to see."""

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
from trainer.run.run_directory import RunDirectory, file_sha256, private_copy
from trainer.training.checkpoints import read_state
from trainer.training.settings import TrainingSettings


class NotFiniteError(WorkError):
    """A model's answers are not numbers."""


@dataclass(frozen=True)
class TrainedModel:
    """The model of a finished run.

    Attributes:
        classifier: of frames, float32 or uint8 (batch, timesteps, S, S, 1), to the probability of "right".
        step: steps that it was trained for.
        observation: what of a sequence it was shown.
        sha256: hexadecimal digest of its file.
    """

    classifier: keras.Model
    step: int
    observation: Observation
    sha256: str

    @property
    def image_size(self) -> int:
        """S."""
        return int(self.classifier.input_shape[2])


def compile_for_inference(model: keras.Model) -> keras.Model:
    """Compile, by XLA where `model.execution` says so."""
    model.compile(jit_compile=by_xla())
    return model


def check_finite(answers: npt.NDArray[np.floating[Any]]) -> None:
    """Refuse answers that are not numbers.

    Raises:
        NotFiniteError: if one is not.
    """
    if not np.isfinite(answers).all():
        raise NotFiniteError("the model's answers are not finite numbers: its training diverged; train again")


def check_image_size(trained_on: int, image_size: int) -> None:
    """Refuse sequences of another size than the model was trained on.

    Raises:
        RequestError: naming both sizes.
    """
    if trained_on != image_size:
        raise RequestError(
            f"the model was trained on images of size {trained_on}, the sequences have size {image_size};"
            " name a matching --model_dir or --data_dir"
        )


def load_trained_model(run: RunDirectory, path: str | None = None) -> TrainedModel:
    """A model of a run, with what it was trained to see.

    Args:
        run: the run.
        path: of a ``.keras`` file of the run, a checkpoint for example; None takes its ``model.keras``.

    Raises:
        RequestError: if there is none, or it cannot be read.
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
    # A copy: a trainer may replace the file meanwhile, and the digest is to be that of these weights.
    with private_copy(path) as copy:
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
        except Exception as error:  # Zip, JSON, HDF5 and Keras each have their own.
            reason = one_line(error).replace(copy, path)[:200]
            raise RequestError(f"{path} is damaged ({reason}); train again") from error
        classifier = without_cudnn(classifier) if by_xla() else classifier
        return TrainedModel(classifier, step, observation, file_sha256(copy))


def trained_observation(run: RunDirectory) -> Observation:
    """What of a sequence a run's models see; all of it for a model by itself, without ``config.json``.

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
