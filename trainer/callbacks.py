"""What happens at the end of an epoch of `fit`: a checkpoint, and a row in ``history.csv``."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from pipeline.program import WorkError
from trainer.run_directory import RunDirectory, write_atomically

_CHECKPOINTS_KEPT = 2


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole training state (weights, optimizer, step) after every epoch.

    Keeps the newest two, and the one with the lowest validation loss. A state whose loss is not finite is not
    saved: the training stops with `WorkError` instead.
    """

    def __init__(self, run: RunDirectory, first_step: int) -> None:
        super().__init__()
        self._run = run
        self._lowest_loss = math.inf
        if tf.io.gfile.exists(run.best_checkpoint_path):
            passed = [row for row in read_history(run.history_path) if int(row["step"]) <= first_step]
            self._lowest_loss = min((float(row["val_loss"]) for row in passed), default=math.inf)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save, then delete what is older."""
        logs = logs or {}
        step = int(self.model.optimizer.iterations.numpy())
        if not all(math.isfinite(value) for value in logs.values()):
            raise WorkError(
                f"the loss at step {step} is not finite; the last good checkpoint is kept:"
                " train into another directory with a lower --learning_rate"
            )
        if logs["val_loss"] < self._lowest_loss:
            self._lowest_loss = logs["val_loss"]
            write_atomically(self._run.best_checkpoint_path, self.model.save)
        write_atomically(self._run.checkpoint_path(step), self.model.save)
        for path in list(self._run.checkpoints().values())[_CHECKPOINTS_KEPT:]:
            tf.io.gfile.remove(path)


class HistoryFile(keras.callbacks.Callback):
    """Rewrites ``history.csv`` after every epoch; a resumed run goes on where its checkpoint stood.

    Columns: epoch (from 1), step, the metrics of training and validation, seconds and training sequences a
    second of the epoch, validation not counted, and what was left out of the data as FILE:SEQUENCES.
    """

    def __init__(
        self, run: RunDirectory, batch_size: int, first_step: int, left_out: Mapping[str, int]
    ) -> None:
        super().__init__()
        self._left_out = " ".join(f"{file}:{count}" for file, count in left_out.items())
        self._path = run.history_path
        self._batch_size = batch_size
        self._rows = [row for row in read_history(self._path) if int(row["step"]) <= first_step]
        self._start = self._trained = 0.0
        self._first_step = first_step

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._start = self._trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the clock before validation."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append the epoch's row."""
        step = int(self.model.optimizer.iterations.numpy())
        seconds = self._trained - self._start
        sequences = (step - self._first_step) * self._batch_size
        self._first_step = step
        row = {"epoch": epoch + 1, "step": step, **{k: f"{v:.9g}" for k, v in sorted((logs or {}).items())}}
        row |= {"seconds": f"{seconds:.3f}", "sequences_per_second": f"{sequences / seconds:.1f}"}
        row["left_out"] = self._left_out
        self._rows.append({name: str(value) for name, value in row.items()})
        write_atomically(self._path, self._write)

    def _write(self, path: str) -> None:
        with tf.io.gfile.GFile(path, "w") as stream:
            writer = csv.DictWriter(stream, list(self._rows[-1]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)


def read_history(path: str) -> list[dict[str, str]]:
    """The rows of a ``history.csv``; none if there is no such file. Rows without a step are passed over."""
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as stream:
        rows = list(csv.DictReader(stream.read().splitlines()))
    return [row for row in rows if (row.get("step") or "").isdigit()]
