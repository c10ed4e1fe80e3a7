"""Files of this machine, and by Beam's ``FileSystems`` those of ``gs://`` and other places, alike.

Beam takes seconds to import and turns clear errors of the local file system into unclear ones, so it is asked
only for paths with a scheme.

The contract is what an object store can keep. It has no directories: a name is an object's or nobody's, and
what lies "in a directory" is known only by listing the names that begin with a prefix. So files and
directories are asked for by different functions, sizes come from one listing, and a tree is removed by its
prefix.
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
    """Whether a path is of this machine's own file system."""
    return "://" not in path


def join(directory: str, *names: str) -> str:
    """A path below a directory."""
    return os.path.join(directory, *names) if is_local(directory) else _beam().join(directory, *names)


def file_exists(path: str) -> bool:
    """Whether a file is there; on an object store, an object of this very name."""
    return os.path.isfile(path) if is_local(path) else bool(_beam().exists(path))


def directory_exists(path: str) -> bool:
    """Whether a directory is there; on an object store, anything under its prefix."""
    return os.path.isdir(path) if is_local(path) else bool(_list_remote(path, limit=1))


def is_pattern(path: str) -> bool:
    """Whether Beam would take a path of another place for a pattern, as it does to delete a file."""
    return not is_local(path) and _PATTERN_CHARACTERS.search(path) is not None


def check_file_system(path: str, named: str) -> None:
    """See whether a path's file system is known, before anything is asked of it.

    Raises:
        RequestError: if it is not, or its library is not installed.
    """
    if not is_local(path):
        try:
            _beam().get_filesystem(path)
        except ValueError as error:
            raise RequestError(f"{named}: cannot be used ({one_line(error)})") from error


def open_binary(path: str) -> BinaryIO:
    """Open a file's bytes for reading, as they are, whatever its name ends in.

    Raises:
        OSError: if it cannot be opened; reading raises it, too.
    """
    if is_local(path):
        return open(path, "rb")
    with _os_errors(path):
        stream = _beam().open(path, compression_type=_uncompressed())
    return cast(BinaryIO, io.BufferedReader(_RemoteFile(path, stream), _REMOTE_READ_BYTES))


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
    return {name.split("/")[0] for name in _list_remote(directory)}


def list_sizes(directory: str) -> dict[str, int]:
    """Sizes in bytes of all files below a directory, by their path in it, from one listing.

    What vanishes meanwhile is left out. A directory that is not there has no files.
    """
    return _list_local(directory) if is_local(directory) else _list_remote(directory)


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


def delete_file(path: str) -> None:
    """Remove a file."""
    if is_local(path):
        os.remove(path)
        return
    with _readable_errors():
        _beam().delete([path])


def delete_tree(directory: str) -> None:
    """Remove a directory with all that is in it; on an object store, all objects under its prefix.

    Raises:
        OSError: if something of it is left.
    """
    if is_local(directory):
        shutil.rmtree(directory)
        return
    with _readable_errors():
        _beam().delete([directory.rstrip("/") + "/"])  # Without the slash it would be an object's name.
    if left := _list_remote(directory, limit=1):
        raise OSError(f"{directory}: {min(left)} cannot be removed")


def make_directory(path: str) -> None:
    """Make a directory and those above it, if need be; object stores have none."""
    if is_local(path):
        os.makedirs(path, exist_ok=True)


def rename(moves: Mapping[str, str]) -> None:
    """Move files, sources to destinations; existing ones at the destinations are replaced.

    An object store copies and then deletes each: after a kill an object may be at both places.
    """
    if all(map(is_local, moves)):
        for source, destination in moves.items():
            os.replace(source, destination)
        return
    with _readable_errors():
        _beam().rename([*moves], [*moves.values()])


class _NamedFile(io.FileIO):
    """A file whose failed writes say of which file: the system's error does not."""

    def __init__(self, path: str, known_as: str) -> None:
        super().__init__(path, "wb")
        self._known_as = known_as

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._known_as) from error


def create_binary(path: str, known_as: str) -> BinaryIO:
    """Create a file for writing; errors name it by the path under which it is known."""
    if is_local(path):
        return cast(BinaryIO, io.BufferedWriter(_NamedFile(path, known_as)))
    return cast(BinaryIO, _beam().create(path, compression_type=_uncompressed()))


class _RemoteFile(io.RawIOBase):
    """A file of another place that is being read."""

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
    """What the library of an object store raises is of classes of its own: raise OSError instead."""
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
    """Sizes by path below a prefix, of at most so many objects."""
    prefix = directory.rstrip("/") + "/"
    # Patterns have no quoting: what would be taken for one stands for any character, and is compared below.
    pattern = _PATTERN_CHARACTERS.sub("?", prefix) + "**"
    (match,) = _beam().match([pattern], None if pattern != prefix + "**" else [limit])
    return {
        file.path.removeprefix(prefix): int(file.size_in_bytes)
        for file in match.metadata_list
        if file.path.startswith(prefix) and file.path != prefix  # An object that stands for the folder.
    }


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
