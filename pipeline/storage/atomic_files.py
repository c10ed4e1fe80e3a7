"""Writes files atomically and durably, locally and on object stores.

A file appears under its name only when all its bytes are written; a local one survives a power cut.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from pipeline.storage import files

TEMPORARY_SUFFIX = ".tmp"


def sync(path: str, shown_path: str | None = None) -> None:
    """Flush a local file, or the entries of a local directory, to the disk (``fsync``).

    Does nothing for a remote path: an object store acknowledges a write only when it is durable. Does nothing
    either where the file may not be opened for reading or its file system has no ``fsync``.

    Args:
        path: the file or directory.
        shown_path: path for the error message, if ``path`` is temporary.

    Raises:
        OSError: if the flush fails, with the path.
    """
    if not files.is_local(path):
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # A directory can be writable without being readable.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Not supported by this file system.
            raise OSError(error.errno, error.strerror, shown_path or path) from error
    finally:
        os.close(descriptor)


class AtomicFile:
    """A file that appears under its name only when it is complete; use it as a context manager.

    Inside the block, write to ``stream``: a temporary file of a unique name. After the block, call `publish`
    to rename it to ``path``. If the block raises, the temporary file is removed. Of two concurrent writers of
    one path, the last to publish wins.

    Args:
        path: final path of the file.
        temporary_directory: directory of the temporary file, on the same file system as ``path``.

    Attributes:
        stream: the temporary file, open for writing inside the block.
    """

    stream: BinaryIO

    def __init__(self, path: str, temporary_directory: str) -> None:
        self.path = path
        name = path.rpartition("/")[2]
        self._temporary = files.join(temporary_directory, f"{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")

    def __enter__(self) -> AtomicFile:
        self.stream = files.create_binary(self._temporary, self.path)
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            self.stream.close()
        except BaseException:
            self.discard()
            raise
        if error_type is not None:
            self.discard()

    def publish(self, *, durable: bool = True) -> None:
        """Rename the temporary file to its final path.

        Args:
            durable: flush the bytes to the disk before the rename, so that a power cut cannot leave a file
                of zeros. To make the new name durable too, call `sync_directory_of` afterwards.

        Raises:
            OSError: if it fails; the temporary file is removed.
        """
        try:
            if durable:
                sync(self._temporary, self.path)
            files.rename({self._temporary: self.path})
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the temporary file, if it exists. Errors are ignored: the caller reports an earlier one."""
        with suppress(Exception):
            if files.file_exists(self._temporary):
                files.delete_file(self._temporary)


def sync_directory_of(path: str) -> None:
    """Flush the directory entry of a local file to the disk; see `sync`."""
    if files.is_local(path):
        sync(os.path.dirname(path) or ".")


@contextmanager
def write_atomically(path: str, temporary_directory: str, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a stream; publish what was written to it when the block ends without an error.

    Args:
        path, temporary_directory: see `AtomicFile`.
        durable: flush file and directory entry to the disk, so that both survive a power cut.
    """
    with AtomicFile(path, temporary_directory) as file:
        yield file.stream
    file.publish(durable=durable)
    if durable:
        sync_directory_of(path)


def write_bytes(path: str, content: bytes, temporary_directory: str, *, durable: bool = True) -> None:
    """Write ``content`` to a file atomically; see `write_atomically`."""
    with write_atomically(path, temporary_directory, durable=durable) as stream:
        stream.write(content)
