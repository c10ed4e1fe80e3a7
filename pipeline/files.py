"""Files through Beam's ``FileSystems``, so that ``gs://`` and other paths work as local ones do."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.program import one_line


def join(directory: str, *names: str) -> str:
    """A path below a directory."""
    return str(FileSystems.join(directory, *names))


def exists(path: str) -> bool:
    """Whether a file or directory is there."""
    return bool(FileSystems.exists(path))


def open_binary(path: str) -> BinaryIO:
    """Open a file's bytes for reading, as they are, whatever its name ends in."""
    return cast(BinaryIO, FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))


def read_bytes(path: str) -> bytes:
    """A whole file."""
    with open_binary(path) as stream:
        return stream.read()


def is_local(path: str) -> bool:
    """Whether a path is of this machine's own file system."""
    return "://" not in path


def resolve(path: str) -> str:
    """A local path without links and dots; others as they are."""
    return os.path.realpath(path) if is_local(path) else path.rstrip("/")


def list_names(directory: str) -> set[str]:
    """Names of what lies directly in a directory; none if it is not there."""
    if is_local(directory):  # Beam would walk the whole tree, and take "[" in a name for a pattern.
        return set(os.listdir(directory)) if os.path.isdir(directory) else set()
    (match,) = FileSystems.match([join(directory, "**")])
    prefix = directory.rstrip("/") + "/"
    return {file.path.removeprefix(prefix).split("/")[0] for file in match.metadata_list}


def file_size(path: str) -> int:
    """Size in bytes."""
    return os.path.getsize(path) if is_local(path) else int(FileSystems.open(path).size())


def delete(path: str) -> None:
    """Remove a file, or a directory with all that is in it."""
    if not is_local(path):
        with _readable_errors():
            FileSystems.delete([path])
    elif os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def rename(source: str, destination: str) -> None:
    """Move a file or a local directory; an existing file at the destination is replaced."""
    with _readable_errors():
        FileSystems.rename([source], [destination])


@contextmanager
def write_atomically(path: str, temporary_directory: str) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only when it is whole.

    The bytes go to a unique name in ``temporary_directory`` (of the same file system) and are renamed when
    the block ends well. Two writers of one file do not disturb each other: the last rename wins.
    """
    name = FileSystems.split(path)[1]
    temporary = join(temporary_directory, f"{name}.{uuid.uuid4().hex}.tmp")
    try:
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            yield stream
        rename(temporary, path)
    except BaseException as error:
        if exists(temporary):
            delete(temporary)
        if isinstance(error, OSError) and error.errno is not None:  # A failed write does not say of what.
            raise OSError(error.errno, error.strerror, path) from error
        raise


def write_bytes(path: str, content: bytes, temporary_directory: str) -> None:
    """Write a small file atomically; see `write_atomically`."""
    with write_atomically(path, temporary_directory) as stream:
        stream.write(content)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Beam reports failed renames and deletions as a dictionary of causes: raise the first cause."""
    try:
        yield
    except BeamIOError as error:
        for path, cause in (error.exception_details or {}).items():
            while isinstance(cause, OSError) and cause.errno is None and isinstance(cause.args[0], OSError):
                cause = cause.args[0]  # The local file system wraps the system's error in another.
            where = path[-1] if isinstance(path, tuple) else path
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else one_line(cause)
            raise OSError(f"{where}: {reason}") from error
        raise
