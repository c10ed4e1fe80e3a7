"""Checkpoints: Keras files of the classifier and its optimizer, with the state of the training added."""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile

import keras
import tensorflow as tf

from pipeline.command_line.errors import one_line
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import save_file
from trainer.training.training_state import TrainingState

# Member of the Keras archive; Keras ignores it.
_STATE_NAME = "training_state.json"


class DamagedCheckpointError(ValueError):
    """A file is missing, damaged, or no checkpoint."""


def save_checkpoint(path: str, classifier: keras.Model, state: TrainingState) -> None:
    """Write a checkpoint atomically.

    Args:
        path: ends in ``.keras``.
        classifier: compiled with the optimizer that trains it.
        state: state of the training.
    """
    with tempfile.TemporaryDirectory() as directory:
        local = os.path.join(directory, "model.keras")
        classifier.save(local)
        with zipfile.ZipFile(local, "a") as archive:
            archive.writestr(_STATE_NAME, state.to_json())
        save_file(path, lambda temporary: tf.io.gfile.copy(local, temporary, overwrite=True))


def copy_checkpoint(source: str, destination: str) -> None:
    """Copy a checkpoint atomically."""
    save_file(destination, lambda temporary: tf.io.gfile.copy(source, temporary, overwrite=True))


def read_state(path: str) -> TrainingState:
    """Read the training's state from a checkpoint, after verifying the checksums of the whole file.

    Raises:
        DamagedCheckpointError: if the file is missing or damaged.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
            if (damaged := archive.testzip()) is not None:
                raise DamagedCheckpointError(f"{damaged} is damaged")
            return TrainingState.from_json(archive.read(_STATE_NAME))
    except Exception as error:  # zipfile raises many kinds of errors for damaged files.
        raise DamagedCheckpointError(one_line(error)) from error


def is_valid_checkpoint(path: str) -> bool:
    """Whether a file exists and is an undamaged checkpoint."""
    try:
        read_state(path)
    except DamagedCheckpointError:
        return False
    return True


def newest_checkpoint(run: RunDirectory) -> tuple[str, TrainingState] | None:
    """Path and state of the newest undamaged checkpoint, else of the best one; None if there is none.

    Prints a line on stderr for each damaged checkpoint.
    """
    best = [run.best_checkpoint_path] if tf.io.gfile.exists(run.best_checkpoint_path) else []
    for path in [*run.checkpoints().values(), *best]:
        try:
            return path, read_state(path)
        except DamagedCheckpointError as error:
            print(f"checkpoint {path} is damaged ({error}); trying the one before", file=sys.stderr)
    return None


def restore_checkpoint(path: str, classifier: keras.Model) -> None:
    """Load weights and optimizer state.

    Args:
        path: a checkpoint, from any backend and any number of replicas.
        classifier: compiled, with its optimizer built.
    """
    classifier.load_weights(path)
