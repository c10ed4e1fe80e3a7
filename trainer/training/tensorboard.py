"""Writes TensorBoard event files: one event per epoch and metric, without duplicates after a resume."""

from __future__ import annotations

import os
from typing import Any

import keras
import tensorflow as tf

from pipeline.storage.tfrecord import CorruptRecordError, frame_record, read_records
from trainer.run.tensorflow_files import save_bytes
from trainer.training.training_state import TrainingState

_VALIDATION = "val_"


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes losses, metrics, learning rate, throughput and input wait, for training and validation."""

    def __init__(self, directory: str, state: TrainingState) -> None:
        super().__init__()
        self._state = state
        self._directories = {name: os.path.join(directory, name) for name in ("train", "validation")}
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write and flush the scalars of the epoch."""
        values = {**(logs or {}), "learning_rate": float(keras.ops.convert_to_numpy(self._learning_rate()))}
        for name, directory in self._directories.items():
            if name not in self._writers:
                self._writers[name] = tf.summary.create_file_writer(directory)
            with self._writers[name].as_default(self._state.step):
                for key, value in values.items():
                    if key.startswith(_VALIDATION) == (name == "validation"):
                        tf.summary.scalar(key.removeprefix(_VALIDATION), value)
            self._writers[name].flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files; the next call of `fit` opens new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _learning_rate(self) -> Any:
        return self.model.optimizer.learning_rate


def remove_events_after(directory: str, step: int) -> None:
    """Remove events of later steps, and incomplete ones, from all event files below a directory."""
    # TensorBoard's own way is an event SessionLog.START, but only its Python loader leaves out the events
    # before it. Its data server and `event_accumulator` show TensorFlow 2's scalars nevertheless.
    for where, _, names in tf.io.gfile.walk(directory):
        for name in names:
            if "tfevents" in name:
                _rewrite(os.path.join(where, name), step)


def _rewrite(path: str, step: int) -> None:
    kept, whole = [], True
    with tf.io.gfile.GFile(path, "rb") as stream:
        try:
            for payload in read_records(stream):
                if tf.compat.v1.Event.FromString(payload).step <= step:
                    kept.append(frame_record(payload))
                else:
                    whole = False
        except CorruptRecordError:
            whole = False
    if not whole:
        save_bytes(path, b"".join(kept))
