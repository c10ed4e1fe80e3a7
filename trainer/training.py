"""Trains a classifier on a data set: one call from settings to a finished run directory."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from model import build_classifier, classifier_of, with_sequence_inputs
from pipeline.manifest import Manifest
from pipeline.program import RequestError
from trainer.callbacks import Checkpoints, HistoryFile, read_history
from trainer.curves import draw_curves
from trainer.datasets import SplitFiles, damage_named, read_manifest
from trainer.input_pipeline import sequential_batches, steps_per_pass, training_batches
from trainer.run_directory import RunDirectory, write_atomically, write_json
from trainer.salvage import open_split
from trainer.settings import TrainingSettings
from trainer.versions import versions

_VALIDATION_BATCH_SIZE = 128
_MAX_READERS = 16
# The loss falls by orders of magnitude within hundreds of steps. Adam's usual 0.999 averages the squared
# gradients over a thousand, so that a late hard example would meet steps sized by long forgotten ones.
_ADAM_BETA_2 = 0.99


@dataclass(frozen=True)
class TrainingResult:
    """What a call of `train` did.

    Attributes:
        step: steps of the whole training; the model that is kept may be of an earlier epoch.
        resumed_from: the step it began at.
        history: rows of ``history.csv``, the last epoch last.
    """

    step: int
    resumed_from: int
    history: list[dict[str, str]]


def train(
    settings: TrainingSettings, data_dir: str, model_dir: str, on_corrupt: str = "fail"
) -> TrainingResult:
    """Train, or go on after the last epoch that an earlier call of the same request finished.

    Call `trainer.devices.choose_device` before.

    Args:
        settings: the request.
        data_dir: a finished data set.
        model_dir: the run directory; made if it is not there.
        on_corrupt: what to do about damaged records; see `trainer.salvage.open_split`.

    Raises:
        RequestError: if the request is wrong or the directory holds another run; nothing has changed then.
        WorkError: if the data is damaged or the loss is not finite; checkpoints written before are kept.
    """
    manifest = read_manifest(data_dir)
    with (
        open_split(data_dir, manifest, "train", on_corrupt) as files,
        open_split(data_dir, manifest, "validation", on_corrupt) as validation_files,
    ):
        return _train(settings, manifest, files, validation_files, model_dir)


def _train(
    settings: TrainingSettings,
    manifest: Manifest,
    files: SplitFiles,
    validation_files: SplitFiles,
    model_dir: str,
) -> TrainingResult:
    readers = settings.readers or min(_MAX_READERS, len(files.paths))
    _check_fits(settings, files, readers)
    run = RunDirectory(model_dir)
    left_out = {**files.left_out, **validation_files.left_out}
    _claim(run, settings, manifest, left_out)

    steps = settings.steps_per_epoch or steps_per_pass(files, settings.batch_size)
    total = settings.epochs * steps
    if total in run.checkpoints() and run.has_classifier():
        return TrainingResult(total, total, read_history(run.history_path))
    keras.utils.set_random_seed(settings.seed)
    model = _newest_checkpoint(run) or _new_model(settings, files, total)
    first_step = int(model.optimizer.iterations.numpy())
    if first_step < total:
        batches = training_batches(
            files,
            batch_size=settings.batch_size,
            seed=settings.seed,
            readers=readers,
            first_step=first_step,
        )
        with damage_named(files, validation_files):
            model.fit(
                batches,
                epochs=settings.epochs,
                initial_epoch=first_step // steps,
                steps_per_epoch=steps,
                validation_data=sequential_batches(validation_files, batch_size=_VALIDATION_BATCH_SIZE),
                shuffle=False,  # The batches come shuffled.
                verbose=1 if sys.stdout.isatty() else 2,
                callbacks=[
                    # The row before the checkpoint: a kill between them repeats an epoch and loses no row.
                    HistoryFile(run, settings.batch_size, first_step, left_out),
                    keras.callbacks.TensorBoard(run.tensorboard_path, write_graph=False),
                    Checkpoints(run, first_step),
                ],
            )
    history = read_history(run.history_path)
    draw_curves(history, run.picture_path)
    best = _load_checkpoint(run.best_checkpoint_path) or model
    write_atomically(run.model_path, _with_optimizer(best).save)
    return TrainingResult(int(model.optimizer.iterations.numpy()), first_step, history)


def _check_fits(settings: TrainingSettings, files: SplitFiles, readers: int) -> None:
    if settings.batch_size > files.num_sequences:
        raise RequestError(
            f"--batch_size {settings.batch_size}: the training split has only {files.num_sequences} sequences"
        )
    if readers > len(files.paths):
        raise RequestError(
            f"--readers {readers}: the training split has only {len(files.paths)} shards;"
            f" use --readers {len(files.paths)} or generate with a smaller --sequences_per_shard"
        )


def _claim(
    run: RunDirectory, settings: TrainingSettings, manifest: Manifest, left_out: Mapping[str, int]
) -> None:
    """Write ``config.json``, or check that the one there is of the same request."""
    wanted = {
        **settings.to_json(),
        "image_size": manifest.settings.image_size,
        "dataset": manifest.fingerprint,
        "left_out": left_out,
    }
    config = run.read_config()
    if config is not None:
        if config != wanted:
            differences = (
                f"{name} {config.get(name)}, not {value}"
                for name, value in wanted.items()
                if config.get(name) != value
            )
            raise RequestError(
                f"--model_dir {run.path}: holds another run ({', '.join(differences)});"
                " name another directory"
            )
        return
    if tf.io.gfile.exists(run.path) and (not tf.io.gfile.isdir(run.path) or tf.io.gfile.listdir(run.path)):
        raise RequestError(f"--model_dir {run.path}: holds something else; name an empty or new directory")
    dataset = {
        "fingerprint": manifest.fingerprint,
        "image_size": manifest.settings.image_size,
        "encoding": manifest.settings.encoding,
        "num_train": manifest.splits["train"].num_sequences,
        "left_out": left_out,
    }
    document = {"settings": settings.to_json(), "dataset": dataset, "versions": versions()}
    try:
        write_json(run.config_path, document)
    except (OSError, tf.errors.OpError) as error:
        raise RequestError(f"--model_dir {run.path}: cannot be written ({error})") from error


def _newest_checkpoint(run: RunDirectory) -> keras.Model | None:
    """The newest training state that can be read."""
    for step, path in run.checkpoints().items():
        if (model := _load_checkpoint(path)) is not None:
            print(f"resuming after step {step} from {path}")
            return model
    return None


def _load_checkpoint(path: str) -> keras.Model | None:
    """A training state; None, and a line that says so, if it cannot be read."""
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Zip, JSON, HDF5 and Keras each have their own.
        print(f"checkpoint {path} is damaged ({type(error).__name__}); trying another", file=sys.stderr)
        return None


def _new_model(settings: TrainingSettings, files: SplitFiles, num_steps: int) -> keras.Model:
    classifier = build_classifier(files.image_size, settings.architecture)
    classifier.summary()
    model = with_sequence_inputs(classifier, files.image_size, files.encoding.name)
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, num_steps)
    model.compile(
        keras.optimizers.Adam(rate, beta_2=_ADAM_BETA_2, global_clipnorm=settings.clip_norm),
        "binary_crossentropy",
        metrics=["accuracy"],
        # XLA halves the speed of this model on TensorFlow's CPU and cannot hold cuDNN's LSTM; JAX needs it.
        jit_compile=keras.backend.backend() != "tensorflow",
    )
    return model


def _with_optimizer(model: keras.Model) -> keras.Model:
    """The classifier, compiled with the optimizer that trained it, so that its file knows the step."""
    classifier = classifier_of(model)
    classifier.compile(
        model.optimizer, "binary_crossentropy", metrics=["accuracy"], jit_compile=model.jit_compile
    )
    return classifier
