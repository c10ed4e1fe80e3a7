"""Files of this machine, and by Beam's ``FileSystems`` those of ``gs://`` and other places, alike.

Beam takes seconds to import and turns clear errors of the local file system into unclear ones, so it is asked
only for paths with a scheme.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from pipeline.program import RequestError, one_line


def is_local(path: str) -> bool:
    """Whether a path is of this machine's own file system."""
    return "://" not in path


def join(directory: str, *names: str) -> str:
    """A path below a directory."""
    return os.path.join(directory, *names) if is_local(directory) else _beam().join(directory, *names)


def exists(path: str) -> bool:
    """Whether a file or directory is there."""
    return os.path.exists(path) if is_local(path) else bool(_beam().exists(path))


def open_binary(path: str) -> BinaryIO:
    """Open a file's bytes for reading, as they are, whatever its name ends in."""
    if is_local(path):
        return open(path, "rb")
    return cast(BinaryIO, _beam().open(path, compression_type=_uncompressed()))


def read_bytes(path: str) -> bytes:
    """A whole file."""
    with open_binary(path) as stream:
        return stream.read()


def resolve(path: str) -> str:
    """A local path without links and dots; others as they are."""
    return os.path.realpath(path) if is_local(path) else path.rstrip("/")


def nearest_existing(path: str) -> str:
    """A local path, or the lowest one above it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path) or "."
    return path


def list_names(directory: str) -> set[str]:
    """Names of what lies directly in a directory; none if it is not there."""
    if is_local(directory):
        return set(os.listdir(directory)) if os.path.isdir(directory) else set()
    (match,) = _beam().match([join(directory, "**")])
    prefix = directory.rstrip("/") + "/"
    return {file.path.removeprefix(prefix).split("/")[0] for file in match.metadata_list}


def check_output(path: str, flag: str = "--output") -> None:
    """See whether a local file, given with a flag, can be written, before the work that ends there.

    Raises:
        RequestError: if not.
    """
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory) or os.path.isdir(path):
        raise RequestError(f"{flag} {path}: name a file in a directory that is there")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise RequestError(f"{flag} {path}: is no file that could be replaced; name another")
    _check_takes_files(directory, f"{flag} {path}")


def check_directory(path: str, flag: str) -> None:
    """See whether files can be put into a local directory, given with a flag, that may have to be made.

    Raises:
        RequestError: if not.
    """
    above = nearest_existing(os.path.abspath(path))
    if not os.path.isdir(above):
        raise RequestError(f"{flag} {path}: {above} is a file; name a directory")
    _check_takes_files(above, f"{flag} {path}")


def _check_takes_files(directory: str, named: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise RequestError(f"{named}: cannot be written ({error.strerror})") from error


def file_size(path: str) -> int:
    """Size in bytes."""
    if is_local(path):
        return os.path.getsize(path)
    return int(_beam().get_filesystem(path).metadata(path).size_in_bytes)


def delete(path: str) -> None:
    """Remove a file, or a directory with all that is in it."""
    if not is_local(path):
        with _readable_errors():
            _beam().delete([path])
    elif os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.remove(path)


def make_directory(path: str) -> None:
    """Make a directory and those above it, if need be; object stores have none."""
    if is_local(path):
        os.makedirs(path, exist_ok=True)


def rename(source: str, destination: str) -> None:
    """Move a file; an existing one at the destination is replaced."""
    if is_local(source):
        os.replace(source, destination)
        return
    with _readable_errors():
        _beam().rename([source], [destination])


@contextmanager
def write_atomically(path: str, temporary_directory: str) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only when it is whole.

    The bytes go to a unique name in ``temporary_directory``, a directory in the same file system, and are
    renamed when the block ends well. Two writers of one file do not disturb each other: the last rename wins.
    """
    name = path.rpartition("/")[2]
    temporary = join(temporary_directory, f"{name}.{uuid.uuid4().hex}.tmp")
    try:
        with _create(temporary) as stream:
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


def _create(path: str) -> BinaryIO:
    if is_local(path):
        return open(path, "wb")
    return cast(BinaryIO, _beam().create(path, compression_type=_uncompressed()))


def _beam() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _uncompressed() -> str:
    from apache_beam.io.filesystem import CompressionTypes

    return str(CompressionTypes.UNCOMPRESSED)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Beam reports failed renames and deletions as a dictionary of causes: raise the first cause."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        yield
    except BeamIOError as error:
        for path, cause in (error.exception_details or {}).items():
            where = path[-1] if isinstance(path, tuple) else path
            raise OSError(f"{where}: {one_line(cause)}") from error
        raise
