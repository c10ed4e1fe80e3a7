"""Writes files atomically, and copies and removes them, through TensorFlow's file systems.

A file appears under its name only when it is complete, and a local one survives a power cut. For paths that
TensorFlow does not read, and on Beam's workers, see `pipeline.storage.atomic_files`.
"""

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
from typing import Any

import tensorflow as tf

from pipeline.command_line.errors import RequestError
from pipeline.storage import atomic_files

_TEMPORARY_NAME = re.compile(r"\.[0-9a-f]{32}\..")


def save_file(path: str, write: Callable[[str], Any]) -> None:
    """Write a file through a temporary one in the same directory, and rename it to ``path``.

    Args:
        path: the file; its directory is made if it does not exist.
        write: called with the path of the temporary file, which has the same suffix; must write it.

    Raises:
        OSError: if the file cannot be written, or what ``write`` reads cannot be read, with the path of the
            one that failed. An existing file at ``path`` is left unchanged.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{uuid.uuid4().hex}.{name}")
    try:
        tf.io.gfile.makedirs(directory or ".")
        write(temporary)
        atomic_files.sync(temporary, path)  # Before the rename, so that a power cut cannot leave zeros.
        tf.io.gfile.rename(temporary, path, overwrite=True)
        atomic_files.sync_directory_of(path)
    except tf.errors.OpError as error:
        _remove_if_exists(temporary)
        raise _os_error(error, temporary, path) from error
    except BaseException:
        _remove_if_exists(temporary)
        raise


def save_bytes(path: str, content: bytes) -> None:
    """Write bytes to a file; see `save_file`."""

    def write(temporary: str) -> None:
        with tf.io.gfile.GFile(temporary, "wb") as stream:
            stream.write(content)

    save_file(path, write)


def save_json(path: str, document: dict[str, Any]) -> None:
    """Write a document as JSON; see `save_file`.

    Raises:
        ValueError: if a number is not finite.
    """
    save_bytes(path, (json.dumps(document, indent=1, allow_nan=False) + "\n").encode())


@contextmanager
def temporary_copy(path: str) -> Iterator[str]:
    """Yield the path of a local copy of a file, with the same name; it is removed after the block.

    Raises:
        RequestError: if the file cannot be read.
        OSError: if it cannot be copied, as on a full disk, with the path of the file that failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, os.path.basename(path))
        try:
            tf.io.gfile.copy(path, copy)
        except (tf.errors.PermissionDeniedError, tf.errors.NotFoundError) as error:
            raise RequestError(f"{path}: cannot be read ({error_reason(error)})") from error
        except tf.errors.OpError as error:
            raise _os_error(error, copy, copy) from error
        yield copy


def remove_temporary_files(directory: str, excluded: str | None = None) -> None:
    """Remove temporary files of `save_file` that killed processes have left.

    Args:
        directory: where to search, with all directories below.
        excluded: a directory below it that is left alone.
    """
    for parent, _, names in tf.io.gfile.walk(directory):
        if excluded is None or not parent.startswith(excluded):
            for name in filter(_TEMPORARY_NAME.match, names):
                tf.io.gfile.remove(os.path.join(parent, name))


def absolute_path(path: str) -> str:
    """A local path as an absolute one; a remote path unchanged."""
    return path if "://" in path else os.path.abspath(path)


def file_sha256(path: str) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with tf.io.gfile.GFile(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def error_reason(error: tf.errors.OpError) -> str:
    """The reason in an error of a file, without the path that TensorFlow puts in front."""
    return str(error.message).rpartition("; ")[2]


def _os_error(error: tf.errors.OpError, temporary: str, path: str) -> OSError:
    """TensorFlow's error as OSError, with the path it names; with ``path`` if it names ``temporary``."""
    named = str(error.message).rpartition("; ")[0]
    return OSError(errno.EIO, error_reason(error), path if temporary in named else named or path)


def _remove_if_exists(path: str) -> None:
    if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
