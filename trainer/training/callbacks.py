"""The callbacks of `fit`, in the order in which they run: each sees what earlier ones added to the logs.

`on_train_batch_end` is called only at sync points; see `trainer.training.sync_points`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.command_line.errors import WorkError
from trainer.distributed.strategy import Distribution
from trainer.run.run_directory import RunDirectory
from trainer.training.build import TrainingModel
from trainer.training.checkpoints import save_checkpoint
from trainer.training.history import write_history
from trainer.training.input_clock import InputClock
from trainer.training.interruption import Interruption
from trainer.training.plan import Plan
from trainer.training.sync_points import SyncPoints
from trainer.training.training_state import TrainingState, epochs_without_progress


class EpochProgress(keras.callbacks.Callback):
    """Measures the epoch's throughput, and restores the sums of an epoch that is resumed within.

    Adds to the logs: ``sequences_per_second``, and ``input_wait``, the share of time spent waiting for input.
    """

    def __init__(
        self,
        state: TrainingState,
        clock: InputClock,
        model: TrainingModel,
        batch_size: int,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self._state = state
        self._totals = model.totals
        self._clock = clock
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._start = self._waited = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clocks; restore the sums of loss and metrics, if the epoch is resumed within."""
        self._start = time.perf_counter() - self._state.seconds
        self._waited = self._clock.seconds - self._state.waiting
        if self._state.totals:
            for variable, value in zip(self._totals, self._state.totals, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the state's times and the logs."""
        state = self._state
        state.seconds = time.perf_counter() - self._start
        state.waiting = self._clock.seconds - self._waited
        self._add_rates(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the rates of the whole epoch to the logs."""
        self._add_rates(logs)

    def _add_rates(self, logs: dict[str, Any] | None) -> None:
        if logs is not None:
            state = self._state
            sequences = ((state.step - 1) % self._steps_per_epoch + 1) * self._batch_size
            logs["sequences_per_second"] = sequences / state.seconds
            logs["input_wait"] = state.waiting / state.seconds


class FiniteLoss(keras.callbacks.Callback):
    """Stops the training if the loss is not finite; earlier checkpoints stay.

    Raises:
        WorkError: from `fit`.
    """

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self._state = state

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Check the mean loss of the epoch so far: once not finite, it stays so."""
        self._check((logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Check the validation loss."""
        self._check((logs or {})["val_loss"])

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise divergence_error(self._state.step)


def divergence_error(step: int) -> WorkError:
    """The error for a loss or weights that are not finite."""
    return WorkError(
        f"the loss at or before step {step} is not finite; the last good checkpoint is kept:"
        " train into another directory with a lower --learning_rate"
    )


class HistoryFile(keras.callbacks.Callback):
    """Adds a row to the state's history and rewrites ``history.csv`` after every epoch.

    Columns: epoch (from 1); step; the metrics of training and validation; seconds of training without
    validation; training sequences per second; share of time spent waiting for input; damaged sequences left
    out, as FILE:COUNT.

    Args:
        run: the run directory; None writes no file.
        state: the state whose history grows.
        left_out: number of sequences left out, by shard.
    """

    def __init__(self, run: RunDirectory | None, state: TrainingState, left_out: Mapping[str, int]) -> None:
        super().__init__()
        self._left_out = " ".join(f"{file}:{count}" for file, count in left_out.items())
        self._run = run
        self._state = state

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append the row of the epoch and write the file."""
        state, logs = self._state, dict(logs or {})
        rate, wait = logs.pop("sequences_per_second"), logs.pop("input_wait")
        row = {"epoch": epoch + 1, "step": state.step, **{k: f"{v:.9g}" for k, v in sorted(logs.items())}}
        row |= {"seconds": f"{state.seconds:.3f}", "sequences_per_second": f"{rate:.1f}"}
        row |= {"input_wait": f"{wait:.4f}", "left_out": self._left_out}
        state.history.append({name: str(value) for name, value in row.items()})
        if self._run is not None:
            write_history(self._run.history_path, state.history)


class EarlyStopping(keras.callbacks.Callback):
    """Ends the training after ``epochs`` epochs without a lower validation loss; None never does."""

    def __init__(self, state: TrainingState, epochs: int | None) -> None:
        super().__init__()
        self._state = state
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set `stop_training` if the limit is reached."""
        if self._epochs is not None and epochs_without_progress(self._state.history) >= self._epochs:
            self.model.stop_training = True


class Checkpoints(keras.callbacks.Callback):
    """Saves checkpoints at the requested steps or times, after every epoch, and before a stop on a signal.

    Keeps the newest checkpoints and the one with the lowest validation loss. Weights that are not finite are
    not saved.

    Raises:
        WorkError: from `fit`, if the weights are not finite, or after a stop on a signal.
    """

    def __init__(
        self,
        run: RunDirectory,
        state: TrainingState,
        model: TrainingModel,
        distribution: Distribution,
        interruption: Interruption,
        sync_points: SyncPoints,
        plan: Plan,
    ) -> None:
        super().__init__()
        self._run = run
        self._state = state
        self._training_model = model
        self._distribution = distribution
        self._interruption = interruption
        self._sync_points = sync_points
        self._plan = plan

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Save or stop as all processes decide."""
        if self._state.step % self._plan.steps_per_epoch == 0:
            return  # The epoch ends here: `on_epoch_end` saves, after validation.
        decision = self._sync_points.agree()
        if decision.save:
            self._save(best=False)
        if decision.stop:
            self._stop()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save; as the best checkpoint too, if the validation loss is the lowest so far."""
        state = self._state
        state.totals, state.seconds, state.waiting = [], 0.0, 0.0
        self._save(best=epochs_without_progress(state.history) == 0)
        if self._sync_points.agree().stop and not self._plan.is_finished(state):
            self._stop()

    def _save(self, best: bool) -> None:
        state = self._state
        _sync_jax_variables(self.model)
        if state.step % self._plan.steps_per_epoch:
            values = self._training_model.totals  # Reading them needs all processes.
            state.totals = [float(keras.ops.convert_to_numpy(variable)) for variable in values]
        if self._distribution.is_chief:
            self._distribution.run_outside_scope(lambda: self._write(best))
        self._sync_points.checkpoint_saved()

    def _write(self, best: bool) -> None:
        state, classifier = self._state, self._training_model.classifier
        if not all(np.isfinite(weight).all() for weight in classifier.get_weights()):
            raise divergence_error(state.step)
        if best:
            save_checkpoint(self._run.best_checkpoint_path, classifier, state)
        save_checkpoint(self._run.checkpoint_path(state.step), classifier, state)
        checkpoints = self._run.checkpoints()
        kept = [step for step in checkpoints if step <= state.step][: self._plan.execution.keep_checkpoints]
        # Checkpoints of later steps are damaged, else the training would have resumed from them.
        for step in checkpoints.keys() - set(kept):
            tf.io.gfile.remove(checkpoints[step])

    def _stop(self) -> None:
        self._distribution.disconnect()  # Waits until the chief has saved.
        name = self._interruption.signal_name or "a signal to another process"
        raise WorkError(
            f"stopped by {name} after step {self._state.step}, which is saved:"
            " the same command goes on from there"
        )


def _sync_jax_variables(model: keras.Model) -> None:
    """On JAX, copy the values that `fit` holds to the model's variables."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


class Profile(keras.callbacks.Callback):
    """Records a profile of the device for TensorBoard.

    Args:
        directory: directory of the event files.
        state: the training's state.
        first, last: first and last profiled step, counted from 1 at the state's step.
    """

    def __init__(self, directory: str, state: TrainingState, first: int, last: int) -> None:
        super().__init__()
        self._directory = directory
        self._state = state
        self._first, self._last = state.step + first, state.step + last
        self._runs = self._ran = False
        start: Callable[[str], None] = tf.profiler.experimental.start
        stop: Callable[[], None] = tf.profiler.experimental.stop
        if keras.backend.backend() == "jax":
            import jax

            start, stop = jax.profiler.start_trace, jax.profiler.stop_trace
        self._start, self._stop = start, stop

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the profile before its first step."""
        if self._state.step + 1 >= self._first and not self._ran:
            self._start(self._directory)
            self._runs = self._ran = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the profile after its last step."""
        if self._state.step >= self._last:
            self._finish()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the profile at the end of an epoch, so that it contains one validation at most."""
        self._finish()

    def _finish(self) -> None:
        if self._runs:
            self._stop()
            self._runs = False
