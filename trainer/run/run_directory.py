"""The paths in a run directory, its configuration, and its lock."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from pipeline.command_line.errors import RequestError, one_line
from pipeline.storage import atomic_files
from pipeline.storage.directory_lock import locked
from trainer.input.fetched_shards import tensorflow_reads
from trainer.run.tensorflow_files import error_reason, remove_temporary_files

_CHECKPOINT = re.compile(r"step-(\d{8,})\.keras")


# What kinds of data sets add to a run's request; see `TrainableKind.identity`.
_IDENTITY = ("image_size", "frame_shape", "class_names")


@dataclass(frozen=True)
class RunDirectory:
    """The directory of a run.

    Attributes:
        path: path of the directory, local or on a file system of TensorFlow.

    Raises:
        RequestError: if TensorFlow does not support the path's file system.
    """

    path: str

    def __post_init__(self) -> None:
        if not tensorflow_reads(self.path):
            scheme = self.path.partition("://")[0]
            raise RequestError(
                f"--model_dir {self.path}: TensorFlow knows no file system {scheme}://; name another place"
            )

    @property
    def config_path(self) -> str:
        """Settings, data set, execution and versions of the run, as JSON."""
        return os.path.join(self.path, "config.json")

    @property
    def model_path(self) -> str:
        """The classifier with the lowest validation loss; written when the run is finished."""
        return os.path.join(self.path, "model.keras")

    @property
    def vocabulary_path(self) -> str:
        """The words of captions, as JSON; the model has them, too."""
        return os.path.join(self.path, "vocabulary.json")

    @property
    def history_path(self) -> str:
        """Losses and metrics as CSV, a row per epoch."""
        return os.path.join(self.path, "history.csv")

    @property
    def picture_path(self) -> str:
        """Picture of the curves in `history_path`."""
        return os.path.join(self.path, "training.png")

    @property
    def tensorboard_path(self) -> str:
        """Directory of TensorBoard's event files."""
        return os.path.join(self.path, "tensorboard")

    @property
    def evaluations_path(self) -> str:
        """Directory for evaluations of the checkpoints; see `trainer.evaluation.watching`."""
        return os.path.join(self.path, "evaluations")

    @property
    def checkpoints_path(self) -> str:
        """Directory of the checkpoints, named by their step."""
        return os.path.join(self.path, "checkpoints")

    @property
    def best_checkpoint_path(self) -> str:
        """The checkpoint with the lowest validation loss so far."""
        return os.path.join(self.checkpoints_path, "best.keras")

    def checkpoints(self) -> dict[int, str]:
        """Paths of the checkpoints by step, the newest first; `best_checkpoint_path` is not included.

        Raises:
            RequestError: if `checkpoints_path` is a file.
        """
        if not tf.io.gfile.exists(self.checkpoints_path):
            return {}
        if not tf.io.gfile.isdir(self.checkpoints_path):
            raise RequestError(f"{self.checkpoints_path}: is a file; remove it")
        found = (_CHECKPOINT.fullmatch(name) for name in tf.io.gfile.listdir(self.checkpoints_path))
        steps = sorted((int(match[1]) for match in found if match), reverse=True)
        return {step: self.checkpoint_path(step) for step in steps}

    def checkpoint_path(self, step: int) -> str:
        """Path of the checkpoint after ``step`` steps."""
        return os.path.join(self.checkpoints_path, f"step-{step:08d}.keras")

    def read_config(self) -> dict[str, Any] | None:
        """Read the request that ``config.json`` records, in the form of `trainer.run.identity.run_request`.

        Returns:
            The request; None if there is no such file.

        Raises:
            RequestError: if the file is damaged or cannot be read.
        """
        if not tf.io.gfile.exists(self.config_path):
            return None
        try:
            config = json.loads(tf.io.gfile.GFile(self.config_path).read())
            dataset = config["dataset"]
            _ = dataset["train_content_sha256"]
            identity = {name: dataset[name] for name in _IDENTITY if name in dataset}
            return {
                **config["settings"],
                **identity,
                "dataset": dataset["fingerprint"],
                "left_out": dataset["left_out"],
            }
        except (ValueError, LookupError, TypeError) as error:
            raise RequestError(
                f"{self.config_path} is damaged; restore it or name another directory"
            ) from error
        except tf.errors.OpError as error:
            raise RequestError(f"{self.config_path}: cannot be read ({error_reason(error)})") from error

    def training_data(self) -> dict[str, Any] | None:
        """Read the description of the data set in ``config.json``.

        Returns:
            ``path``, ``fingerprint``, ``num_train``, ``train_content_sha256``, ``left_out``, and what
            `trainer.tasks.trainable_kind.TrainableKind.config` gave; None if there is no such file.

        Raises:
            RequestError: if the file is damaged or cannot be read.
        """
        if self.read_config() is None:
            return None
        dataset: dict[str, Any] = json.loads(tf.io.gfile.GFile(self.config_path).read())["dataset"]
        return dataset

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the directory, if it does not exist, and lock it for the duration of the block.

        Temporary files of killed processes are removed. A directory made here that is still empty after the
        block is removed again.

        Raises:
            RequestError: if the directory cannot be made.
            WorkError: if another process has locked it.
        """
        is_new = not tf.io.gfile.exists(self.path)
        try:
            tf.io.gfile.makedirs(self.path)
        except (OSError, tf.errors.OpError) as error:
            raise RequestError(f"--model_dir {self.path}: cannot be written ({one_line(error)})") from error
        try:
            atomic_files.sync_directory_of(self.path)
            with locked(self.path):
                # Another process may be writing evaluations.
                remove_temporary_files(self.path, excluded=self.evaluations_path)
                yield
        finally:
            if is_new and not tf.io.gfile.listdir(self.path):
                tf.io.gfile.rmtree(self.path)
