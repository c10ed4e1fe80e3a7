"""Sync points: the steps after which a training reads losses and exchanges decisions.

To read a loss, Python waits for the device, which then waits for its next step. To agree with other
processes, a process waits for the slowest one. So both happen at sync points only: about once a second, and
after steps where something is due (end of an epoch, a checkpoint, the end of a profile). A single process
goes by its clock, and a signal makes the next step a sync point. Several processes have the same sync points:
at each, the chief sends the number of steps to the next.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras

from trainer.distributed.peers import Decision
from trainer.distributed.strategy import Distribution
from trainer.training.interruption import Interruption
from trainer.training.plan import Plan
from trainer.training.training_state import TrainingState

_INTERVAL_SECONDS = 1.0
_MAX_GROWTH = 4  # Of the interval in steps, so that one fast step does not delay the next sync point.


class SyncPoints:
    """Decides which steps are sync points, and what all processes do there."""

    def __init__(
        self, plan: Plan, state: TrainingState, distribution: Distribution, interruption: Interruption
    ) -> None:
        self._plan = plan
        self._state = state
        self._distribution = distribution
        self._interruption = interruption
        profile = plan.execution.profile
        self._profiled = state.step + profile[1] if profile is not None else 0
        self._step = state.step
        self._time = self._saved_time = time.monotonic()
        self._interval_steps = 1  # Number of steps in about _INTERVAL_SECONDS.
        self._next = state.step + self._steps_to_next()

    def is_due(self) -> bool:
        """Whether the step just started is a sync point; does not wait for the step."""
        if self._state.step >= self._next:
            return True
        is_single = self._distribution.cluster is None
        return is_single and (self._is_interrupted() or time.monotonic() - self._time >= _INTERVAL_SECONDS)

    def agree(self) -> Decision:
        """Return the decision that all processes follow; they must call this after the same step."""
        decision = self._distribution.agree(self._is_interrupted(), self._decide)
        self._step, self._time = self._state.step, time.monotonic()
        self._next = self._step + decision.steps
        return decision

    def checkpoint_saved(self) -> None:
        """Record that a checkpoint has just been written."""
        self._saved_time = time.monotonic()

    def _is_interrupted(self) -> bool:
        return self._interruption.signal_name is not None

    def _decide(self, stop: bool) -> Decision:
        step, now, execution = self._state.step, time.monotonic(), self._plan.execution
        if step > self._step:
            steps = int((step - self._step) / max(now - self._time, 1e-6) * _INTERVAL_SECONDS)
            self._interval_steps = max(1, min(steps, self._interval_steps * _MAX_GROWTH))
        every, seconds = execution.checkpoint_steps, execution.checkpoint_seconds
        save = every is not None and step % every == 0
        save = save or (seconds is not None and now - self._saved_time >= seconds)
        return Decision(stop, save or stop, self._steps_to_next())

    def _steps_to_next(self) -> int:
        step, every = self._state.step, self._plan.execution.checkpoint_steps
        due = [interval - step % interval for interval in (self._plan.steps_per_epoch, every) if interval]
        if step < self._profiled:
            due.append(self._profiled - step)
        # With several steps per execution, the sync point is the end of the execution, in all processes.
        return min(due) if self._distribution.cluster is None else min(self._interval_steps, *due)


class CallbacksAtSyncPoints(keras.callbacks.CallbackList):
    """A `CallbackList` that calls `on_train_batch_end` of its callbacks at sync points only.

    Keras' own list reads losses and metrics from the device after every step of training and validation.

    Args:
        callbacks: the callbacks; Keras' history and, unless ``verbose`` is 0, its progress bar follow them.
        sync_points: decides which steps are sync points.
        state: the training's state; its step is updated after every step.
        distribution: receives a progress report for each step, validation batch and epoch.
        model: the model that `fit` trains.
        verbose: as in `fit`.
        epochs: as in `fit`.
        steps: number of remaining steps of the epoch.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        sync_points: SyncPoints,
        state: TrainingState,
        distribution: Distribution,
        *,
        model: keras.Model,
        verbose: int,
        epochs: int,
        steps: int,
    ) -> None:
        super().__init__(
            list(callbacks),
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        self._sync_points = sync_points
        self._state = state
        self._distribution = distribution
        self._first_step = state.step

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the first step of the epoch."""
        self._first_step = self._state.step
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the state's step; call the callbacks at a sync point."""
        self._state.step = self._first_step + batch + 1
        if self._sync_points.is_due():
            super().on_train_batch_end(batch, logs)
        self._distribution.report_progress()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report progress; do not call the callbacks, which need no metrics of a single validation batch."""
        self._distribution.report_progress()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Call the callbacks and report progress."""
        super().on_epoch_end(epoch, logs)
        self._distribution.report_progress()
