"""Trains a classifier on a data set: one call from settings to a finished run directory."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from trainer.command_line.startup import reset_keras_settings
from trainer.distributed.device_errors import device_errors_explained
from trainer.distributed.devices import choose_training_compiler, make_deterministic
from trainer.distributed.strategy import Distribution, distributed, find_cluster
from trainer.input.data_service import DataService, reading_through
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.feeds import Part, num_validation_batches, training_part, validation_part
from trainer.input.name_damaged_records import damage_named
from trainer.input.skip_damaged_records import open_split
from trainer.input.split_files import SplitFiles, read_manifest
from trainer.run.identity import check_same_run, run_request, write_config
from trainer.run.run_directory import RunDirectory
from trainer.tasks.trainable_kind import trainable_kind
from trainer.training.build import TrainingModel, build_training_model
from trainer.training.callbacks import (
    Checkpoints,
    EarlyStopping,
    EpochProgress,
    FiniteLoss,
    HistoryFile,
    Profile,
)
from trainer.training.checkpoints import (
    DamagedCheckpointError,
    copy_checkpoint,
    is_valid_checkpoint,
    newest_checkpoint,
    read_state,
)
from trainer.training.curves import draw_curves
from trainer.training.history import read_history, write_history
from trainer.training.input_clock import InputClock
from trainer.training.interruption import Interruption
from trainer.training.plan import Plan, make_plan
from trainer.training.settings import Execution, TrainingSettings
from trainer.training.sync_points import CallbacksAtSyncPoints, SyncPoints
from trainer.training.tensorboard import TensorBoardScalars, remove_events_after
from trainer.training.training_state import TrainingState

PROGRAM = "trainer.task"

_VALIDATION_BATCH_SIZE = 128


@dataclass(frozen=True)
class TrainingResult:
    """Result of `train`.

    Attributes:
        step: the last step of the training.
        resumed_from: the step at which this call started.
        history: rows of ``history.csv``, the last epoch last.
        kept: the step of the model that is kept, which may be of an earlier epoch.
        weights_sha256: hexadecimal digest of the weights after the last step, the same in all processes of a
            cluster; None if the run was finished already.
    """

    step: int
    resumed_from: int
    history: list[dict[str, str]]
    kept: int
    weights_sha256: str | None = None


@device_errors_explained()
def train(
    settings: TrainingSettings,
    data_dir: str,
    model_dir: str,
    execution: Execution = Execution(),  # noqa: B008  # Frozen.
) -> TrainingResult:
    """Train a run, from its start or from its last checkpoint.

    Args:
        settings: the requested run.
        data_dir: directory of a finished data set.
        model_dir: the run directory; made if it does not exist.
        execution: how to carry out the run.

    Raises:
        RequestError: if the request is wrong or the directory holds another run; nothing is changed.
        WorkError: if the data is damaged, the device fails, the loss is not finite, or a signal stopped the
            training; earlier checkpoints are kept.
    """
    reset_keras_settings(tf32=settings.precision != "float32")
    choose_training_compiler(execution.compile, settings.deterministic)
    cluster = find_cluster(execution.distribution)
    manifest = read_manifest(data_dir)
    spec = DatasetSpec.of(manifest)
    kind = trainable_kind(spec, settings.task)
    kind.check_trainable(spec, data_dir)
    if missing := {"train", "validation"} - manifest.splits.keys():
        raise RequestError(
            f"--data_dir {data_dir}: has no split {min(missing)}; a training needs train and validation"
        )
    run = RunDirectory(model_dir)
    with (
        open_split(data_dir, manifest, "train", execution.on_corrupt) as files,
        open_split(data_dir, manifest, "validation", execution.on_corrupt) as validation_files,
    ):
        with damage_named(files):
            plan = make_plan(settings, execution, files, cluster.size if cluster else 1)
        kind.check_validation(validation_files)
        left_out = {**files.left_out, **validation_files.left_out}
        request = run_request(plan.settings, manifest, left_out)
        check_same_run(run, request)
        if (finished := _finished(plan, run)) is not None:
            return finished
        checkpoints = run.checkpoints()
        path, state = newest_checkpoint(run) or (None, TrainingState())
        plan.check_resume_step(state)
        if settings.deterministic:
            make_deterministic()
        shared_request = {**request, **plan.shared_settings, "step": state.step}
        with (
            distributed(PROGRAM, execution, cluster, shared_request) as distribution,
            reading_through(execution.data_service, files, execution.connect_timeout, PROGRAM) as service,
        ):
            plan.check_replicas(distribution.num_replicas)
            # Before anything is written: a network may not fit the data.
            with damage_named(files):
                model = build_training_model(plan, files, distribution, path)
            with run.claimed() if distribution.is_chief else contextlib.nullcontext():
                if distribution.is_chief:
                    check_same_run(run, request)
                    if run.checkpoints() != checkpoints:
                        raise WorkError(f"{run.path}: another process has just worked there; run this again")
                    write_config(run, plan.settings, execution, data_dir, manifest, left_out)
                    kind.write_files(run, plan.view)
                    print(f"device: {distribution.device}{_shared_by(distribution)}")
                shown = files.shown(plan.view), validation_files.shown(plan.view and plan.view.judged())
                job = _Job(plan, *shown, run, state, distribution, service)
                return _train(job, model, path)


@dataclass(frozen=True)
class _Job:
    """Plan, data, run directory, state and devices of a training."""

    plan: Plan
    files: SplitFiles
    validation_files: SplitFiles
    run: RunDirectory
    state: TrainingState
    distribution: Distribution
    service: DataService | None

    @property
    def left_out(self) -> dict[str, int]:
        """Number of damaged sequences left out, by shard."""
        return {**self.files.left_out, **self.validation_files.left_out}


def _finished(plan: Plan, run: RunDirectory) -> TrainingResult | None:
    """The result of a run that is finished already; None if it is not."""
    if not is_valid_checkpoint(run.model_path):
        return None
    history = read_history(run.history_path)
    if (found := newest_checkpoint(run)) is not None:
        history = found[1].history
    state = TrainingState(int(history[-1]["step"]) if history else 0, history)
    if not plan.is_finished(found[1] if found is not None else state):
        return None
    kept = read_state(run.model_path).step
    return TrainingResult(state.step, state.step, history, kept)


def _shared_by(distribution: Distribution) -> str:
    replicas, processes = distribution.num_replicas, distribution.num_processes
    return f", {processes} processes with {replicas} replicas each" if replicas * processes > 1 else ""


def _train(job: _Job, model: TrainingModel, checkpoint: str | None) -> TrainingResult:
    plan, run, state, distribution = job.plan, job.run, job.state, job.distribution
    resumed_from = state.step
    if checkpoint is None and distribution.is_chief:
        model.classifier.summary()
    if checkpoint is not None and distribution.is_chief:
        print(f"resuming after step {state.step} from {checkpoint}")
    if distribution.is_chief:
        print(f"model: {model.description}")
        # A killed run may have logged steps after its last checkpoint.
        remove_events_after(run.tensorboard_path, state.step)
        write_history(run.history_path, state.history)
    with Interruption() as interruption, damage_named(job.files, job.validation_files):
        clock = InputClock(plan.settings.deterministic)
        sync_points = SyncPoints(plan, state, distribution, interruption)
        callbacks = _callbacks(job, model, clock, interruption, sync_points)
        while not plan.is_finished(state):
            before = state.step
            _fit(job, model, clock, callbacks, sync_points)
            if state.step == before:
                raise WorkError("Keras trains no step, though some are left")
    best = int(min(state.history, key=lambda row: float(row["val_loss"]))["step"])
    kept, path = _best_checkpoint(run, best) or (state.step, run.checkpoint_path(state.step))
    if distribution.is_chief:
        if kept != best:
            print(f"the checkpoint of step {best}, the best, is lost; step {kept} is kept", file=sys.stderr)
        copy_checkpoint(path, run.model_path)
        draw_curves(state.history, run.picture_path)
    digest = _digest(model.classifier.get_weights())
    return TrainingResult(state.step, resumed_from, state.history, kept, digest)


def _best_checkpoint(run: RunDirectory, best: int) -> tuple[int, str] | None:
    """``best``, and the path of an undamaged checkpoint of that step; None if there is none."""
    for path in (run.best_checkpoint_path, run.checkpoint_path(best)):
        with contextlib.suppress(DamagedCheckpointError):
            if read_state(path).step == best:
                return best, path
    return None


def _digest(weights: list[npt.NDArray[np.float32]]) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()


def _fit(
    job: _Job,
    model: TrainingModel,
    clock: InputClock,
    callbacks: list[keras.callbacks.Callback],
    sync_points: SyncPoints,
) -> None:
    """Train the rest of the current epoch, or all remaining epochs."""
    plan, distribution = job.plan, job.distribution
    settings, first_step = plan.settings, job.state.step
    epoch, within = divmod(first_step, plan.steps_per_epoch)
    part = Part(distribution.process, distribution.num_processes)

    def training() -> tf.data.Dataset:
        return clock.timed(training_part(job.files, settings, plan.readers, first_step, part, job.service))

    replicas = distribution.num_replicas
    # Of clips, a batch may take hundreds of megabytes.
    whole = _VALIDATION_BATCH_SIZE if job.files.view is None else settings.batch_size
    validation_size = -(-whole // (replicas * part.count)) * replicas
    validation_steps = num_validation_batches(job.validation_files, validation_size, part)

    def validation() -> tf.data.Dataset:
        return validation_part(job.validation_files, settings, validation_size, part)

    epochs = epoch + 1 if within else settings.epochs
    steps = plan.steps_per_epoch - within
    callback_list = CallbacksAtSyncPoints(
        callbacks,
        sync_points,
        job.state,
        distribution,
        model=model.sequence_model,
        verbose=0 if not distribution.is_chief else 1 if sys.stdout.isatty() else 2,
        epochs=epochs,
        steps=steps,
    )
    reading = contextlib.closing(job.service) if job.service is not None else contextlib.nullcontext()
    with distribution.scope(), reading:
        model.sequence_model.fit(
            distribution.batches(training, settings.batch_size // part.count),
            initial_epoch=epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=distribution.batches(validation, validation_size),
            validation_steps=validation_steps,
            shuffle=False,  # The batches are shuffled already.
            verbose=0,
            callbacks=callback_list,
        )


def _callbacks(
    job: _Job, model: TrainingModel, clock: InputClock, interruption: Interruption, sync_points: SyncPoints
) -> list[keras.callbacks.Callback]:
    plan, run, state, distribution = job.plan, job.run, job.state, job.distribution
    settings, execution = plan.settings, plan.execution
    chief = distribution.is_chief
    callbacks: list[keras.callbacks.Callback] = [
        EpochProgress(state, clock, model, settings.batch_size, plan.steps_per_epoch),
        FiniteLoss(state),
        HistoryFile(run if chief else None, state, job.left_out),
        EarlyStopping(state, settings.early_stopping),
        Checkpoints(run, state, model, distribution, interruption, sync_points, plan),
    ]
    if chief:
        # Before `Checkpoints`: a checkpoint must not claim an epoch whose scalars are missing.
        callbacks.insert(-1, TensorBoardScalars(run.tensorboard_path, state))
        if execution.profile is not None:
            callbacks.append(Profile(run.tensorboard_path, state, *execution.profile))
    return callbacks
