"""Checkpoints: Keras files of the classifier with its optimizer, and where the training stood."""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from typing import Any

import keras
import tensorflow as tf

from pipeline.command_line.errors import one_line
from trainer.run.run_directory import RunDirectory, write_atomically
from trainer.training.training_state import TrainingState

# Beside what Keras writes; Keras passes over it.
_STATE_NAME = "training_state.json"


class DamagedCheckpointError(ValueError):
    """A file is not a checkpoint, or not a whole one."""


def save_checkpoint(path: str, classifier: keras.Model, state: TrainingState) -> None:
    """Write a checkpoint; it appears when it is whole.

    Args:
        path: ends in ``.keras``.
        classifier: compiled with the optimizer that trains it.
        state: where the training stands.
    """
    with tempfile.TemporaryDirectory() as directory:
        local = os.path.join(directory, "model.keras")
        classifier.save(local)
        with zipfile.ZipFile(local, "a") as archive:
            archive.writestr(_STATE_NAME, state.to_json())
        write_atomically(path, lambda temporary: tf.io.gfile.copy(local, temporary, overwrite=True))


def copy_checkpoint(source: str, destination: str) -> None:
    """Put a checkpoint under another name; it appears when it is whole."""
    write_atomically(destination, lambda temporary: tf.io.gfile.copy(source, temporary, overwrite=True))


def read_state(path: str) -> TrainingState:
    """Where the training stood.

    Raises:
        DamagedCheckpointError: if the file is damaged.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
            if (damaged := archive.testzip()) is not None:
                raise DamagedCheckpointError(f"{damaged} is damaged")
            return TrainingState.from_json(archive.read(_STATE_NAME))
    except Exception as error:  # Damage makes zipfile raise many.
        raise DamagedCheckpointError(one_line(error)) from error


def is_whole(path: str) -> bool:
    """Whether a file is there and a whole checkpoint."""
    try:
        read_state(path)
    except DamagedCheckpointError:
        return False
    return True


def newest_state(run: RunDirectory) -> tuple[str, TrainingState] | None:
    """Path and state of the newest checkpoint that is whole, or the best; a line on stderr for others."""
    best = [run.best_checkpoint_path] if tf.io.gfile.exists(run.best_checkpoint_path) else []
    for path in [*run.checkpoints().values(), *best]:
        try:
            return path, read_state(path)
        except DamagedCheckpointError as error:
            print(f"checkpoint {path} is damaged ({error}); trying the one before", file=sys.stderr)
    return None


def restore(path: str, classifier: keras.Model) -> None:
    """Give a classifier, compiled with its built optimizer, weights and optimizer of a checkpoint.

    It may have been written on another backend, and with another number of replicas.
    """
    classifier.load_weights(path)


def compile_classifier(classifier: keras.Model, optimizer: Any) -> None:
    """Compile a classifier with the optimizer that trains it, so that its file holds both."""
    classifier.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
