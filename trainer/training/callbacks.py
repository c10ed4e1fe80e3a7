"""What happens during `fit`: every callback adds to what those that stand after it here see.

They hear of the end of a step at looks only; see `trainer.training.looks`.
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
from trainer.training.looks import Looks
from trainer.training.plan import Plan
from trainer.training.training_state import TrainingState, epochs_without_progress


class Position(keras.callbacks.Callback):
    """Counts seconds: how many sequences a second, and the share of time spent waiting for input.

    Adds ``sequences_per_second`` and ``input_wait`` to the logs. An epoch that is taken up in its middle goes
    on with the losses and metrics that it had.
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
        """Start or take up an epoch."""
        self._start = time.perf_counter() - self._state.seconds
        self._waited = self._clock.seconds - self._state.waiting
        if self._state.totals:
            for variable, value in zip(self._totals, self._state.totals, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Add it up to this step."""
        state = self._state
        state.seconds = time.perf_counter() - self._start
        state.waiting = self._clock.seconds - self._waited
        self._add_rates(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say the same of the whole epoch."""
        self._add_rates(logs)

    def _add_rates(self, logs: dict[str, Any] | None) -> None:
        if logs is not None:
            state = self._state
            sequences = ((state.step - 1) % self._steps_per_epoch + 1) * self._batch_size
            logs["sequences_per_second"] = sequences / state.seconds
            logs["input_wait"] = state.waiting / state.seconds


class FiniteLoss(keras.callbacks.Callback):
    """Stops a training whose loss is not finite; what was saved before stays.

    Raises:
        WorkError: out of `fit`.
    """

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self._state = state

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the mean over the epoch so far, which no later step makes finite again."""
        self._check((logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the validation."""
        self._check((logs or {})["val_loss"])

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise diverged(self._state.step)


def diverged(step: int) -> WorkError:
    """What to say of numbers that are not finite."""
    return WorkError(
        f"the loss at or before step {step} is not finite; the last good checkpoint is kept:"
        " train into another directory with a lower --learning_rate"
    )


class HistoryFile(keras.callbacks.Callback):
    """Adds a row to the state's history and rewrites ``history.csv`` after every epoch.

    Columns: epoch (from 1), step, the metrics of training and validation, seconds and training sequences a
    second of the epoch, validation not counted, the share of time spent waiting for input, and what was left
    out of the data as FILE:SEQUENCES.
    """

    def __init__(self, run: RunDirectory | None, state: TrainingState, left_out: Mapping[str, int]) -> None:
        super().__init__()
        self._left_out = " ".join(f"{file}:{count}" for file, count in left_out.items())
        self._run = run
        self._state = state

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Append the epoch's row."""
        state, logs = self._state, dict(logs or {})
        rate, wait = logs.pop("sequences_per_second"), logs.pop("input_wait")
        row = {"epoch": epoch + 1, "step": state.step, **{k: f"{v:.9g}" for k, v in sorted(logs.items())}}
        row |= {"seconds": f"{state.seconds:.3f}", "sequences_per_second": f"{rate:.1f}"}
        row |= {"input_wait": f"{wait:.4f}", "left_out": self._left_out}
        state.history.append({name: str(value) for name, value in row.items()})
        if self._run is not None:
            write_history(self._run.history_path, state.history)


class EarlyStopping(keras.callbacks.Callback):
    """Ends the training after some epochs without a lower validation loss."""

    def __init__(self, state: TrainingState, epochs: int | None) -> None:
        super().__init__()
        self._state = state
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the epochs."""
        if self._epochs is not None and epochs_without_progress(self._state.history) >= self._epochs:
            self.model.stop_training = True


class Checkpoints(keras.callbacks.Callback):
    """Saves the state every so many steps or seconds, after every epoch, and before it stops on a signal.

    Keeps the newest, and the one with the lowest validation loss. A state that is not finite is not saved.

    Raises:
        WorkError: out of `fit`, when it stops.
    """

    def __init__(
        self,
        run: RunDirectory,
        state: TrainingState,
        model: TrainingModel,
        distribution: Distribution,
        interruption: Interruption,
        looks: Looks,
        plan: Plan,
    ) -> None:
        super().__init__()
        self._run = run
        self._state = state
        self._training_model = model
        self._distribution = distribution
        self._interruption = interruption
        self._looks = looks
        self._plan = plan

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Save if it is time."""
        if self._state.step % self._plan.steps_per_epoch == 0:
            return  # It is not an epoch yet: validation comes first.
        decision = self._looks.agree()
        if decision.save:
            self._save(best=False)
        if decision.stop:
            self._stop()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save, and keep the model if it is the best so far."""
        state = self._state
        state.totals, state.seconds, state.waiting = [], 0.0, 0.0
        self._save(best=epochs_without_progress(state.history) == 0)
        if self._looks.agree().stop and not self._plan.is_finished(state):
            self._stop()

    def _save(self, best: bool) -> None:
        state = self._state
        _bring_up_to_date(self.model)
        if state.step % self._plan.steps_per_epoch:
            values = self._training_model.totals  # Of all replicas, so all processes take part.
            state.totals = [float(keras.ops.convert_to_numpy(variable)) for variable in values]
        if self._distribution.is_chief:
            self._distribution.run_outside_scope(lambda: self._write(best))
        self._looks.saved()

    def _write(self, best: bool) -> None:
        state, classifier = self._state, self._training_model.classifier
        if not all(np.isfinite(weight).all() for weight in classifier.get_weights()):
            raise diverged(state.step)
        if best:
            save_checkpoint(self._run.best_checkpoint_path, classifier, state)
        save_checkpoint(self._run.checkpoint_path(state.step), classifier, state)
        checkpoints = self._run.checkpoints()
        kept = [step for step in checkpoints if step <= state.step][: self._plan.execution.keep_checkpoints]
        for step in checkpoints.keys() - set(
            kept
        ):  # Later ones were damaged, or this would not be their past.
            tf.io.gfile.remove(checkpoints[step])

    def _stop(self) -> None:
        self._distribution.disconnect()  # Waits until the chief has saved.
        name = self._interruption.signal_name or "a signal to another process"
        raise WorkError(
            f"stopped by {name} after step {self._state.step}, which is saved:"
            " the same command goes on from there"
        )


def _bring_up_to_date(model: keras.Model) -> None:
    """On JAX, `fit` keeps the variables' values to itself until it is asked for them."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


class Profile(keras.callbacks.Callback):
    """Records what the device does from one step of this start to another, for TensorBoard's profiler."""

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
        """Start before the first step."""
        if self._state.step + 1 >= self._first and not self._ran:
            self._start(self._directory)
            self._runs = self._ran = True

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop after the last."""
        if self._state.step >= self._last:
            self._finish()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop before another epoch, so that validation is not in it twice."""
        self._finish()

    def _finish(self) -> None:
        if self._runs:
            self._stop()
            self._runs = False
