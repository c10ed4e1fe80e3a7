"""File operations for local paths, and for remote ones (``gs://`` and the like) through Beam.

Beam's ``FileSystems`` takes seconds to import, and its errors for local files are less clear than Python's.
So it is used only for paths with a scheme.

The functions promise no more than an object store can do. An object store has no directories: a directory is
a prefix of object names, and its content is found by listing that prefix. So there are separate functions
for files and for directories, sizes come from one listing, and a tree is removed by its prefix.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

from pipeline.command_line.errors import RequestError, one_line

_REMOTE_READ_BYTES = 2**20
_PATTERN_CHARACTERS = re.compile(r"[][*?]")


def is_local(path: str) -> bool:
    """Whether a path has no scheme, so that it is of the local file system."""
    return "://" not in path


def join(directory: str, *names: str) -> str:
    """The path of ``names`` below a directory."""
    return os.path.join(directory, *names) if is_local(directory) else _beam().join(directory, *names)


def file_exists(path: str) -> bool:
    """Whether a file exists; on an object store, an object of exactly this name."""
    return os.path.isfile(path) if is_local(path) else bool(_beam().exists(path))


def directory_exists(path: str) -> bool:
    """Whether a directory exists; on an object store, any object under its prefix."""
    return os.path.isdir(path) if is_local(path) else bool(_list_remote(path, limit=1))


def is_pattern(path: str) -> bool:
    """Whether Beam would read a remote path as a glob pattern. Beam does so when it deletes files."""
    return not is_local(path) and _PATTERN_CHARACTERS.search(path) is not None


def check_file_system(path: str, named: str) -> None:
    """Check that Beam supports a path's file system.

    Args:
        path: any path; a local one always passes.
        named: the path as the user gave it, for the error.

    Raises:
        RequestError: if Beam does not, or the file system's library is not installed.
    """
    if not is_local(path):
        try:
            _beam().get_filesystem(path)
        except ValueError as error:
            raise RequestError(f"{named}: cannot be used ({one_line(error)})") from error


def open_binary(path: str) -> BinaryIO:
    """Open a file for reading bytes, without decompression by its suffix.

    Raises:
        OSError: if it cannot be opened, or later read.
    """
    if is_local(path):
        return open(path, "rb")
    with _os_errors(path):
        stream = _beam().open(path, compression_type=_uncompressed())
    return cast(BinaryIO, io.BufferedReader(_RemoteFile(path, stream), _REMOTE_READ_BYTES))


def read_bytes(path: str) -> bytes:
    """Read a whole file."""
    with open_binary(path) as stream:
        return stream.read()


def resolve(path: str) -> str:
    """A local path, absolute and without symbolic links; a remote one without a trailing slash."""
    return os.path.realpath(path) if is_local(path) else path.rstrip("/")


def absolute(path: str) -> str:
    """A local path, absolute; a remote one as it is."""
    return os.path.abspath(path) if is_local(path) else path


def nearest_existing(path: str) -> str:
    """A local path if it exists, else its nearest existing parent."""
    while not os.path.lexists(path):
        path = os.path.dirname(path) or "."
    return path


def list_names(directory: str) -> set[str]:
    """Names of the entries of a directory; empty if it does not exist."""
    if is_local(directory):
        return set(os.listdir(directory)) if os.path.isdir(directory) else set()
    return {name.split("/")[0] for name in _list_remote(directory)}


def list_sizes(directory: str) -> dict[str, int]:
    """Sizes in bytes of all files below a directory, by path relative to it; empty if it does not exist.

    Takes one listing on an object store. Files removed during the listing are left out.
    """
    return _list_local(directory) if is_local(directory) else _list_remote(directory)


def check_output(path: str, flag: str = "--output") -> None:
    """Check that a local file can be written, before the work whose result it takes.

    Args:
        path: the file.
        flag: the flag that gave the path, for the error.

    Raises:
        RequestError: if it cannot.
    """
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory) or os.path.isdir(path):
        raise RequestError(f"{flag} {path}: name a file in a directory that is there")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise RequestError(f"{flag} {path}: is no file that could be replaced; name another")
    _check_takes_files(directory, f"{flag} {path}")


def check_directory(path: str, flag: str) -> None:
    """Check that files can be written into a local directory, which need not exist yet.

    Args:
        path: the directory.
        flag: the flag that gave the path, for the error.

    Raises:
        RequestError: if they cannot.
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


def delete_file(path: str) -> None:
    """Remove a file."""
    if is_local(path):
        os.remove(path)
        return
    with _readable_errors():
        _beam().delete([path])


def delete_tree(directory: str) -> None:
    """Remove a directory and its content; on an object store, all objects under its prefix.

    Raises:
        OSError: if anything remains.
    """
    if is_local(directory):
        shutil.rmtree(directory)
        return
    with _readable_errors():
        _beam().delete([directory.rstrip("/") + "/"])  # Without the slash: the object of that name.
    if left := _list_remote(directory, limit=1):
        raise OSError(f"{directory}: {min(left)} cannot be removed")


def make_directory(path: str) -> None:
    """Make a local directory and its parents, if they do not exist. Does nothing on an object store."""
    if is_local(path):
        os.makedirs(path, exist_ok=True)


def rename(moves: Mapping[str, str]) -> None:
    """Rename files, given as source to destination; existing destinations are replaced.

    An object store copies, then deletes: after a kill an object may exist at both paths.
    """
    if all(map(is_local, moves)):
        for source, destination in moves.items():
            os.replace(source, destination)
        return
    with _readable_errors():
        _beam().rename([*moves], [*moves.values()])


class _NamedFile(io.FileIO):
    """A file that names its path in errors of `write`, which Python does not."""

    def __init__(self, path: str, shown_path: str) -> None:
        super().__init__(path, "wb")
        self._shown_path = shown_path

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._shown_path) from error


def create_binary(path: str, shown_path: str) -> BinaryIO:
    """Create a file for writing bytes; errors of a local one name ``shown_path``."""
    if is_local(path):
        return cast(BinaryIO, io.BufferedWriter(_NamedFile(path, shown_path)))
    return cast(BinaryIO, _beam().create(path, compression_type=_uncompressed()))


class _RemoteFile(io.RawIOBase):
    """A remote file, open for reading."""

    def __init__(self, path: str, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _os_errors(self._path):
            content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


@contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Raise OSError for any exception: libraries of object stores have exception classes of their own."""
    try:
        yield
    except Exception as error:
        raise OSError(f"{path}: {one_line(error)}") from error


def _list_local(directory: str) -> dict[str, int]:
    sizes = {}
    for above, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(above, name)
            with suppress(FileNotFoundError):
                sizes[os.path.relpath(path, directory)] = os.stat(path).st_size
    return sizes


def _list_remote(directory: str, limit: int | None = None) -> dict[str, int]:
    """Sizes in bytes by path below a prefix, of at most ``limit`` objects."""
    prefix = directory.rstrip("/") + "/"
    # Patterns cannot be quoted: `?` matches any pattern character here, and names are compared below.
    pattern = _PATTERN_CHARACTERS.sub("?", prefix) + "**"
    (match,) = _beam().match([pattern], None if pattern != prefix + "**" else [limit])
    return {
        file.path.removeprefix(prefix): int(file.size_in_bytes)
        for file in match.metadata_list
        if file.path.startswith(prefix) and file.path != prefix  # Leave out the folder's own object.
    }


def _beam() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _uncompressed() -> str:
    from apache_beam.io.filesystem import CompressionTypes

    return str(CompressionTypes.UNCOMPRESSED)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Raise OSError with the first cause where Beam reports failed renames and deletions by path."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        yield
    except BeamIOError as error:
        for path, cause in (error.exception_details or {}).items():
            where = path[-1] if isinstance(path, tuple) else path
            raise OSError(f"{where}: {one_line(cause)}") from error
        raise
