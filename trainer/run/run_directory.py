"""The directory of a run: configuration, checkpoints, the trained model, history, pictures and logs."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from pipeline.command_line.errors import RequestError, one_line
from pipeline.storage import atomic_files
from pipeline.storage.directory_lock import locked
from trainer.input.fetched_shards import tensorflow_reads

_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\..")
_CHECKPOINT = re.compile(r"step-(\d{8,})\.keras")


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run and how they are written.

    Raises:
        RequestError: for a path on a file system that TensorFlow does not know.
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
        """Settings, data set and versions of the run."""
        return os.path.join(self.path, "config.json")

    @property
    def model_path(self) -> str:
        """The classifier of frames with the lowest validation loss; there when the run is finished."""
        return os.path.join(self.path, "model.keras")

    @property
    def history_path(self) -> str:
        """Losses and metrics, a row an epoch."""
        return os.path.join(self.path, "history.csv")

    @property
    def picture_path(self) -> str:
        """Curves of `history_path`."""
        return os.path.join(self.path, "training.png")

    @property
    def tensorboard_path(self) -> str:
        """Event files."""
        return os.path.join(self.path, "tensorboard")

    @property
    def evaluations_path(self) -> str:
        """Directory of what a side-car says of the checkpoints; see `trainer.evaluation.watching`."""
        return os.path.join(self.path, "evaluations")

    @property
    def checkpoints_path(self) -> str:
        """Directory of checkpoints: whole training states, named by their step."""
        return os.path.join(self.path, "checkpoints")

    @property
    def best_checkpoint_path(self) -> str:
        """The training state with the lowest validation loss so far."""
        return os.path.join(self.checkpoints_path, "best.keras")

    def checkpoints(self) -> dict[int, str]:
        """Steps and paths of the checkpoints, the newest first."""
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
        """The settings in ``config.json`` and what it says of the data; None if there is no such file.

        Raises:
            RequestError: if it is damaged.
        """
        if not tf.io.gfile.exists(self.config_path):
            return None
        try:
            config = json.loads(tf.io.gfile.GFile(self.config_path).read())
            dataset = config["dataset"]
            _ = dataset["seed"], dataset["train_content_sha256"]
            return {
                **config["settings"],
                "image_size": dataset["image_size"],
                "dataset": dataset["fingerprint"],
                "left_out": dataset["left_out"],
            }
        except (ValueError, LookupError, TypeError) as error:
            raise RequestError(
                f"{self.config_path} is damaged; restore it or name another directory"
            ) from error
        except tf.errors.OpError as error:
            raise RequestError(f"{self.config_path}: cannot be read ({_reason(error)})") from error

    def training_data(self) -> dict[str, Any] | None:
        """What ``config.json`` says of the data; None if there is no such file.

        Returns:
            ``path``, ``fingerprint``, ``seed``, ``image_size``, ``encoding``, ``num_train``,
            ``train_content_sha256`` and ``left_out``.

        Raises:
            RequestError: if it is damaged.
        """
        if self.read_config() is None:
            return None
        dataset: dict[str, Any] = json.loads(tf.io.gfile.GFile(self.config_path).read())["dataset"]
        return dataset

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Make the directory if need be and hold it, until the block ends or the process does.

        Files that a killed process left half-written are removed. If the block fails before it has written
        anything, a directory that was made for it is removed again.

        Raises:
            RequestError: if it cannot be made.
            WorkError: if another process trains there.
        """
        is_new = not tf.io.gfile.exists(self.path)
        try:
            tf.io.gfile.makedirs(self.path)
        except (OSError, tf.errors.OpError) as error:
            raise RequestError(f"--model_dir {self.path}: cannot be written ({one_line(error)})") from error
        try:
            atomic_files.sync_directory_of(self.path)
            with locked(self.path):
                # In the side-car's folder another process may be writing.
                remove_unfinished(self.path, but=self.evaluations_path)
                yield
        finally:
            if is_new and not tf.io.gfile.listdir(self.path):
                tf.io.gfile.rmtree(self.path)


def remove_unfinished(path: str, but: str | None = None) -> None:
    """Remove what killed processes left half-written in a directory and below, but for one part of it."""
    for directory, _, names in tf.io.gfile.walk(path):
        if but is None or not directory.startswith(but):
            for name in filter(_UNFINISHED.match, names):
                tf.io.gfile.remove(os.path.join(directory, name))


def write_atomically(path: str, write: Callable[[str], Any]) -> None:
    """Call ``write`` with a temporary path beside ``path`` (same suffix) and rename the result into place.

    Then the file survives a power cut.

    Raises:
        OSError: if it cannot be written, or what ``write`` reads cannot be read, naming which; the file is
            left as it was.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{uuid.uuid4().hex}.{name}")
    try:
        tf.io.gfile.makedirs(directory or ".")
        write(temporary)
        atomic_files.sync(temporary, path)  # Else a power cut could leave a file of zeros.
        tf.io.gfile.rename(temporary, path, overwrite=True)
        atomic_files.sync_directory_of(path)
    except tf.errors.OpError as error:
        _remove_if_there(temporary)
        raise _failed(error, temporary, path) from error
    except BaseException:
        _remove_if_there(temporary)
        raise


@contextmanager
def private_copy(path: str) -> Iterator[str]:
    """A copy of a file, with its name, for as long as the block lasts.

    Raises:
        RequestError: if it cannot be read.
        OSError: if it cannot be copied, as where there is no room, naming the file that failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, os.path.basename(path))
        try:
            tf.io.gfile.copy(path, copy)
        except (tf.errors.PermissionDeniedError, tf.errors.NotFoundError) as error:
            raise RequestError(f"{path}: cannot be read ({_reason(error)})") from error
        except tf.errors.OpError as error:
            raise _failed(error, copy, copy) from error
        yield copy


def _failed(error: tf.errors.OpError, temporary: str, path: str) -> OSError:
    """TensorFlow's error as the system's, of the file that it names; ``path`` for the temporary one."""
    named = str(error.message).rpartition("; ")[0]
    return OSError(errno.EIO, _reason(error), path if temporary in named else named or path)


def _reason(error: tf.errors.OpError) -> str:
    """Why: TensorFlow names a file first, perhaps a temporary one."""
    return str(error.message).rpartition("; ")[2]


def _remove_if_there(path: str) -> None:
    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def write_bytes(path: str, content: bytes) -> None:
    """Write a file atomically."""

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "wb") as stream:
            stream.write(content)

    write_atomically(path, write)


def write_json(path: str, document: dict[str, Any]) -> None:
    """Write JSON atomically; numbers must be finite."""
    write_bytes(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


def absolute(path: str) -> str:
    """A local path from the root on; others as they are."""
    return path if "://" in path else os.path.abspath(path)


def file_sha256(path: str) -> str:
    """Hexadecimal digest of a file."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()
