"""When a training looks at what its devices compute.

Whoever reads a loss waits for the device to finish, and the device then waits for its next step; whoever
asks other processes waits for the slowest of them. So between two **looks** nothing is read and nobody is
asked. A look comes about once a second, and after the steps where something is due: the last of an epoch, one
at which a checkpoint is asked for, the last one of a profile. A process alone goes by its clock, and looks at
once when a signal comes. Several look after the same step: at every look the chief tells the others when the
next one comes.
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

_SECONDS = 1.0
_GROWTH = 4  # A single quick step does not make the next look come much too late.


class Looks:
    """Says after which steps to look, and settles between all processes what follows from it."""

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
        self._time = self._saved = time.monotonic()
        self._pace = 1  # Steps that take about as long as a look shall.
        self._next = state.step + self._steps_to_next()

    def is_due(self) -> bool:
        """Whether to look after the step that has just been asked for; waits for nothing."""
        if self._state.step >= self._next:
            return True
        alone = self._distribution.cluster is None
        return alone and (self._wishes_to_stop() or time.monotonic() - self._time >= _SECONDS)

    def agree(self) -> Decision:
        """What all processes do now, having looked after the same step."""
        decision = self._distribution.agree(self._wishes_to_stop(), self._decide)
        self._step, self._time = self._state.step, time.monotonic()
        self._next = self._step + decision.steps
        return decision

    def saved(self) -> None:
        """A checkpoint has been written."""
        self._saved = time.monotonic()

    def _wishes_to_stop(self) -> bool:
        return self._interruption.signal_name is not None

    def _decide(self, stop: bool) -> Decision:
        step, now, execution = self._state.step, time.monotonic(), self._plan.execution
        if step > self._step:
            steps = int((step - self._step) / max(now - self._time, 1e-6) * _SECONDS)
            self._pace = max(1, min(steps, self._pace * _GROWTH))
        every, seconds = execution.checkpoint_steps, execution.checkpoint_seconds
        save = every is not None and step % every == 0
        save = save or (seconds is not None and now - self._saved >= seconds)
        return Decision(stop, save or stop, self._steps_to_next())

    def _steps_to_next(self) -> int:
        step, every = self._state.step, self._plan.execution.checkpoint_steps
        due = [interval - step % interval for interval in (self._plan.steps_per_epoch, every) if interval]
        if step < self._profiled:
            due.append(self._profiled - step)
        # Executions of several steps end at the next step that is theirs, in all processes alike.
        return min(due) if self._distribution.cluster is None else min(self._pace, *due)


class CallbacksAtLooks(keras.callbacks.CallbackList):
    """Keras' list of callbacks, which hear of the end of a step at looks only.

    Keras makes Python's numbers of losses and metrics after every step, of training and of validation, to
    give them to the callbacks (`CallbackList.on_train_batch_end`), and waits for the device to do so.

    Args:
        callbacks: who hears of it; Keras' history and, if it is asked for, its progress bar come after them.
        looks: says when.
        state: whose step is counted here, after every step.
        distribution: told of everything that is finished.
        model: trained with `fit`.
        verbose: as in `fit`.
        epochs: as in `fit`.
        steps: of this epoch that are left.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        looks: Looks,
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
        self._looks = looks
        self._state = state
        self._distribution = distribution
        self._first_step = state.step

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count from here."""
        self._first_step = self._state.step
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the step, and look if it is time."""
        self._state.step = self._first_step + batch + 1
        if self._looks.is_due():
            super().on_train_batch_end(batch, logs)
        self._distribution.report_progress()

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Nobody asks for the numbers of a part of the validation."""
        self._distribution.report_progress()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell of the whole epoch."""
        super().on_epoch_end(epoch, logs)
        self._distribution.report_progress()
