"""Checks a request against the data, and settles the numbers of steps and readers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras

from pipeline.command_line.errors import RequestError
from trainer.input.batches import steps_per_pass
from trainer.input.frame_view import FrameView
from trainer.input.split_files import SplitFiles
from trainer.tasks.trainable_kind import trainable_kind
from trainer.training.settings import Execution, TrainingSettings
from trainer.training.training_state import TrainingState, epochs_without_progress

_MAX_READERS = 16


@dataclass(frozen=True)
class Plan:
    """A request checked against its data.

    Attributes:
        settings: the request, with `steps_per_epoch` and `readers` filled in.
        execution: how to carry out the run.
        view: what is read of every example; None: all of it.
        steps_per_epoch: number of steps in an epoch.
        readers: number of shards that each feed reads in parallel.
        num_processes: number of processes that train together.
    """

    settings: TrainingSettings
    execution: Execution
    view: FrameView | None
    steps_per_epoch: int
    readers: int
    num_processes: int

    @property
    def shared_settings(self) -> dict[str, object]:
        """Settings, besides the request, that must be equal in all processes of a cluster."""
        return {
            "steps_per_execution": self.execution.steps_per_execution,
            "checkpoint_every": self.execution.checkpoint_steps,
            "peer_timeout": self.execution.peer_timeout,
            "backend": keras.backend.backend(),
        }

    @property
    def num_steps(self) -> int:
        """Number of steps of the run, without early stopping."""
        return self.settings.epochs * self.steps_per_epoch

    def is_finished(self, state: TrainingState) -> bool:
        """Whether a training in this state has no step left."""
        patience = self.settings.early_stopping
        stopped = patience is not None and epochs_without_progress(state.history) >= patience
        return state.step >= self.num_steps or (stopped and state.step % self.steps_per_epoch == 0)

    def check_resume_step(self, state: TrainingState) -> None:
        """Check that executions from this state on end where the epoch ends.

        Raises:
            RequestError: if the state's step is no multiple of the steps per execution.
        """
        if state.step % self.execution.steps_per_execution:
            raise RequestError(
                f"--steps_per_execution {self.execution.steps_per_execution}: the last checkpoint is of step"
                f" {state.step}; give a divisor of {state.step}"
            )

    def check_replicas(self, num_replicas: int) -> None:
        """Check that the replicas can share a batch and train in this precision.

        Args:
            num_replicas: number of replicas of each process.

        Raises:
            RequestError: if they cannot.
        """
        shares = self.num_processes * num_replicas
        if self.settings.batch_size % shares:
            raise RequestError(
                f"--batch_size {self.settings.batch_size}: {shares} replicas cannot share it evenly;"
                f" give a multiple of {shares}"
            )
        if self.settings.precision == "mixed_float16" and shares > 1:
            raise RequestError(
                "--precision mixed_float16: on one device only; use mixed_bfloat16 or --distribution none"
            )


def make_plan(
    settings: TrainingSettings, execution: Execution, files: SplitFiles, num_processes: int
) -> Plan:
    """Check a request against the data, and fill in its defaults.

    Args:
        settings: the request.
        execution: how to carry out the run.
        files: the training split.
        num_processes: number of processes that train together.

    Raises:
        RequestError: if a value does not fit the data, with its flag.
    """
    settings, view = trainable_kind(files.spec, settings.task).settled(settings, files)
    feeds, shards, executions = settings.feeds, len(files.paths), execution.steps_per_execution
    if feeds % num_processes:
        raise RequestError(
            f"--feeds {feeds}: {num_processes} processes cannot share them evenly;"
            f" give a multiple of {num_processes}"
        )
    if feeds > shards:
        raise RequestError(
            f"--feeds {feeds}: the training split has only {shards} shards;"
            " generate it with a smaller --sequences_per_shard, or train with fewer processes"
        )
    readers = settings.readers or min(_MAX_READERS, shards // feeds)
    if readers > shards // feeds:
        raise RequestError(
            f"--readers {readers}: the training split has only {shards} shards for {feeds} feeds;"
            f" use --readers {shards // feeds} or generate with a smaller --sequences_per_shard"
        )
    fewest = min(files.dealt(feed, feeds).num_sequences for feed in range(feeds))
    if settings.batch_size // feeds > fewest:
        count = files.num_sequences
        raise RequestError(
            f"--batch_size {settings.batch_size}: the training split has only {count} sequences;"
            f" use at most {fewest * feeds}"
        )
    steps = settings.steps_per_epoch
    if steps is None:
        steps = steps_per_pass(files, settings.batch_size) // executions * executions
    if not steps or steps % executions:
        steps = steps or steps_per_pass(files, settings.batch_size)
        raise RequestError(
            f"--steps_per_execution {executions}: an epoch has {steps} steps; give a divisor of that"
        )
    if settings.warmup_steps >= settings.epochs * steps:
        raise RequestError(
            f"--warmup_steps {settings.warmup_steps}: the run has only {settings.epochs * steps} steps"
        )
    settled = replace(settings, steps_per_epoch=steps, readers=readers)
    return Plan(settled, execution, view, steps, readers, num_processes)
