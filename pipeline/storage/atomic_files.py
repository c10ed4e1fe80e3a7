"""Files that appear when they are whole, and survive a power cut, here and on other places alike."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import BinaryIO

from pipeline.storage import files

TEMPORARY_SUFFIX = ".tmp"


def sync(path: str, known_as: str | None = None) -> None:
    """Bring a local file, or the entries of a local directory, from the system's memory to the disk.

    Object stores answer only when an object is stored for good: nothing is done for them.

    Args:
        path: of the file or directory.
        known_as: a path for the error, where this one is temporary.

    Raises:
        OSError: if it cannot be, naming the path.
    """
    if not files.is_local(path):
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # A directory that may be written to need not be readable.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # The file system has nothing to sync.
            raise OSError(error.errno, error.strerror, known_as or path) from error
    finally:
        os.close(descriptor)


class AtomicFile:
    """A file that appears under its name only when it is whole; use it as a context manager.

    The bytes go to ``stream``, under a unique name in a temporary directory of the same file system. After
    the block, `publish` puts the file in its place. If the block fails, the temporary file is removed. Two
    writers of one file do not disturb each other: the last one wins.

    Args:
        path: where the file is to be.
        temporary_directory: where it is until then.
    """

    stream: BinaryIO

    def __init__(self, path: str, temporary_directory: str) -> None:
        self.path = path
        name = path.rpartition("/")[2]
        self._temporary = files.join(temporary_directory, f"{name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")

    def __enter__(self) -> AtomicFile:
        self.stream = files.create_binary(self._temporary, self.path)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stream.close()
        except BaseException:
            self.discard()
            raise
        if error is not None:
            self.discard()

    def publish(self, *, durable: bool = True) -> None:
        """Put the file in its place.

        Args:
            durable: bring the bytes to the disk before the name is there, so that a power cut cannot leave a
                file of zeros under it. That the name itself survives is for `sync_directory_of`.
        """
        try:
            if durable:
                sync(self._temporary, self.path)
            files.rename({self._temporary: self.path})
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the temporary file, if it is there and can be: what went wrong before is what is told."""
        with suppress(Exception):
            if files.file_exists(self._temporary):
                files.delete_file(self._temporary)


def sync_directory_of(path: str) -> None:
    """Bring a local file's name to the disk; see `sync`."""
    if files.is_local(path):
        sync(os.path.dirname(path) or ".")


@contextmanager
def write_atomically(path: str, temporary_directory: str, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write a file that appears under its name when the block ends well; see `AtomicFile`.

    With ``durable``, file and name survive a power cut.
    """
    with AtomicFile(path, temporary_directory) as file:
        yield file.stream
    file.publish(durable=durable)
    if durable:
        sync_directory_of(path)


def write_bytes(path: str, content: bytes, temporary_directory: str, *, durable: bool = True) -> None:
    """Write a small file atomically; see `write_atomically`."""
    with write_atomically(path, temporary_directory, durable=durable) as stream:
        stream.write(content)
