"""The directory of a run: configuration, checkpoints, the trained model, history, pictures and logs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

import model as _registers_layers  # noqa: F401  # Keras finds the custom layers by this import.
from pipeline.program import RequestError, one_line

_CHECKPOINT = re.compile(r"step-(\d{8,})\.keras")


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run and how they are written."""

    path: str

    @property
    def config_path(self) -> str:
        """Settings, data set and versions of the run."""
        return os.path.join(self.path, "config.json")

    @property
    def model_path(self) -> str:
        """The classifier of frames with the lowest validation loss; there when the run is finished."""
        return os.path.join(self.path, "model.keras")

    @property
    def history_path(self) -> str:
        """Losses and metrics, a row an epoch."""
        return os.path.join(self.path, "history.csv")

    @property
    def picture_path(self) -> str:
        """Curves of `history_path`."""
        return os.path.join(self.path, "training.png")

    @property
    def tensorboard_path(self) -> str:
        """Event files."""
        return os.path.join(self.path, "tensorboard")

    @property
    def checkpoints_path(self) -> str:
        """Directory of checkpoints: whole training states, named by their step."""
        return os.path.join(self.path, "checkpoints")

    @property
    def best_checkpoint_path(self) -> str:
        """The training state with the lowest validation loss so far."""
        return os.path.join(self.checkpoints_path, "best.keras")

    def checkpoints(self) -> dict[int, str]:
        """Steps and paths of the checkpoints, the newest first."""
        if not tf.io.gfile.isdir(self.checkpoints_path):
            if tf.io.gfile.exists(self.checkpoints_path):
                raise RequestError(f"{self.checkpoints_path}: is a file; remove it")
            return {}
        found = (_CHECKPOINT.fullmatch(name) for name in tf.io.gfile.listdir(self.checkpoints_path))
        steps = sorted((int(match[1]) for match in found if match), reverse=True)
        return {step: self.checkpoint_path(step) for step in steps}

    def checkpoint_path(self, step: int) -> str:
        """Path of the checkpoint after ``step`` steps."""
        return os.path.join(self.checkpoints_path, f"step-{step:08d}.keras")

    def read_config(self) -> dict[str, Any] | None:
        """The settings in ``config.json`` and what it says of the data; None if there is no such file.

        Raises:
            RequestError: if it is damaged.
        """
        if not tf.io.gfile.exists(self.config_path):
            return None
        try:
            config = json.loads(tf.io.gfile.GFile(self.config_path).read())
            dataset = config["dataset"]
            return {
                **config["settings"],
                "image_size": dataset["image_size"],
                "dataset": dataset["fingerprint"],
                "left_out": dataset["left_out"],
            }
        except (ValueError, LookupError, TypeError, tf.errors.OpError) as error:
            raise RequestError(
                f"{self.config_path} is damaged; restore it or name another directory"
            ) from error

    def has_classifier(self) -> bool:
        """Whether there is a trained classifier that can be read."""
        try:
            self.load_classifier()
        except RequestError:
            return False
        return True

    def load_classifier(self) -> tuple[keras.Model, int]:
        """The trained classifier of frames, and the number of steps that it was trained for.

        Raises:
            RequestError: if there is none, or it cannot be read.
        """
        if not tf.io.gfile.exists(self.model_path):
            reason = "has no model.keras" if tf.io.gfile.isdir(self.path) else "no such directory"
            raise RequestError(f"--model_dir {self.path}: {reason}; train with python -m trainer.task")
        try:
            classifier = keras.models.load_model(self.model_path)
            step = int(classifier.optimizer.iterations.numpy())
            if len(classifier.input_shape) != len(("batch", "timestep", "row", "column", "channel")):
                raise ValueError(f"takes inputs of shape {classifier.input_shape}, not frames")
            return classifier, step
        except Exception as error:  # Zip, JSON, HDF5 and Keras each have their own.
            raise RequestError(
                f"{self.model_path} is damaged ({one_line(error)[:120]}); train again"
            ) from error


def write_atomically(path: str, write: Callable[[str], Any]) -> None:
    """Call ``write`` with a temporary path beside ``path`` (same suffix) and rename the result into place."""
    directory, name = os.path.split(path)
    tf.io.gfile.makedirs(directory or ".")
    temporary = os.path.join(directory, f".{uuid.uuid4().hex}.{name}")
    try:
        write(temporary)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.remove(temporary)
        raise


def write_json(path: str, document: dict[str, Any]) -> None:
    """Write JSON atomically; numbers must be finite."""
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "w") as stream:
            stream.write(text)

    write_atomically(path, write)


def file_sha256(path: str) -> str:
    """Hexadecimal digest of a file."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
