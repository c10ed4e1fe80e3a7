"""Beam's file system of that store: method by method what ``apache_beam.io.gcp.gcsfilesystem`` does.

Semantics that surprise are kept. There are no directories; listing goes by a prefix of the whole path, also
in the middle of a name. Renaming is copying, then deleting, object by object. `NotFound` is no `OSError`, and
`open`, `size` and `last_updated` raise it bare. An object that was replaced while it is read is not found any
more. Leaving a ``with`` block by an exception makes the object visible as far as it was written: so does
google-cloud-storage 2. Version 3 drops it, where it is not compressed; Beam takes either.

Simpler than the real one: every bucket exists, nothing is retried, and there are no permissions.
"""

import base64
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
from apache_beam.io.filesystem import (
    BeamIOError,
    CompressedFile,
    CompressionTypes,
    FileMetadata,
    FileSystem,
)

from tests.object_store import objects

_CHUNK_BYTES = 16 * 1024 * 1024  # A reader fetches so many at a time.


class NotFound(Exception):  # noqa: N818  # It has this name in google.api_core.exceptions, too.
    """There is no such object."""

    code = 404

    def __str__(self) -> str:
        return f"{self.code} {super().__str__()}"


class StoreFileSystem(FileSystem):
    """Paths are ``store://bucket/name``."""

    CHUNK_SIZE = 100

    @classmethod
    def scheme(cls) -> str:
        return "store"

    def join(self, basepath: str, *paths: str) -> str:
        if not basepath.startswith(objects.PREFIX):
            raise ValueError(f"Basepath {basepath!r} must be a store path.")
        path = basepath
        for each in paths:
            path = path.rstrip("/") + "/" + each.lstrip("/")
        return path

    def split(self, path: str) -> tuple[str, str]:
        path = path.strip()
        if not path.startswith(objects.PREFIX):
            raise ValueError(f"Path {path!r} must be a store path.")
        head, slash, tail = path.removeprefix(objects.PREFIX).rpartition("/")
        return (objects.PREFIX + head, tail) if slash else (path, "")

    def mkdirs(self, path: str) -> None:
        pass

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        try:
            _parse(dir_or_prefix, object_optional=True)
            for path in objects.paths(objects.root(), dir_or_prefix):
                try:
                    status = _status(path)
                except NotFound:  # Deleted since.
                    continue
                yield FileMetadata(path, status.st_size, status.st_mtime)
        except Exception as error:
            raise BeamIOError("List operation failed", {dir_or_prefix: error}) from error

    def create(
        self,
        path: str,
        mime_type: str = "application/octet-stream",
        compression_type: str = CompressionTypes.AUTO,
    ) -> Any:
        compression_type = FileSystem._get_compression_type(path, compression_type)
        _parse(path)
        return _compressed(_Writer(path), compression_type)

    def open(
        self,
        path: str,
        mime_type: str = "application/octet-stream",
        compression_type: str = CompressionTypes.AUTO,
    ) -> Any:
        compression_type = FileSystem._get_compression_type(path, compression_type)
        _parse(path)
        return _compressed(_Reader(path), compression_type)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        assert len(source_file_names) == len(destination_file_names)
        exceptions: dict[tuple[str, str], Exception] = {}
        for source, destination in zip(source_file_names, destination_file_names, strict=True):
            try:
                if not destination.startswith(objects.PREFIX):
                    raise ValueError(f"Destination {destination!r} must be a store path.")
                if source.endswith("/"):
                    self._copy_tree(source, destination)
                else:
                    _copy(source, destination)
            except Exception as error:
                exceptions[source, destination] = error
        if exceptions:
            raise BeamIOError("Copy operation failed", exceptions)

    def _copy_tree(self, source: str, destination: str) -> None:
        assert destination.endswith("/")
        for found in self._list(source):
            _copy(found.path, destination + found.path.removeprefix(source))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        assert len(source_file_names) == len(destination_file_names)
        pairs = list(zip(source_file_names, destination_file_names, strict=True))
        exceptions: dict[tuple[str, str], int] = {}
        for start in range(0, len(pairs), self.CHUNK_SIZE):
            batch = pairs[start : start + self.CHUNK_SIZE]
            for path in (path for pair in batch for path in pair):
                _parse(path)
            copied = []
            for source, destination in batch:
                try:
                    _copy(source, destination)
                    copied.append(source)
                except NotFound:
                    exceptions[source, destination] = 404
            _delete(copied)
        if exceptions:
            raise BeamIOError("Rename operation failed", exceptions)

    def exists(self, path: str) -> bool:
        try:
            _status(path)
        except NotFound:
            return False
        return True

    def size(self, path: str) -> int:
        return _status(path).st_size

    def last_updated(self, path: str) -> float:
        return _status(path).st_mtime

    def checksum(self, path: str) -> str:
        try:
            with _Reader(path) as stream:
                return base64.b64encode(google_crc32c.Checksum(stream.read()).digest()).decode()
        except Exception as error:
            raise BeamIOError("Checksum operation failed", {path: error}) from error

    def metadata(self, path: str) -> FileMetadata:
        try:
            status = _status(path)
        except Exception as error:
            raise BeamIOError("Metadata operation failed", {path: error}) from error
        return FileMetadata(path, status.st_size, status.st_mtime)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            if path.endswith("/"):
                _parse(path)
                _delete(objects.paths(objects.root(), path))
            else:
                (match,) = self.match([path])
                _delete([found.path for found in match.metadata_list])


class _Reader(io.BufferedIOBase):
    """Reads the object that was there when it was opened; once it is gone, what was fetched before."""

    mode = "r"

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = open(_file(path), "rb")  # noqa: SIM115  # Closed with this stream.
        except FileNotFoundError:
            raise _not_found(path) from None
        self._size = os.fstat(self._file.fileno()).st_size
        self._fetched = range(0)

    def read(self, size: int | None = -1) -> bytes:
        start = self._file.tell()
        wanted = self._size if size is None or size < 0 else size
        if wanted and not (start in self._fetched and start + wanted <= self._fetched.stop):
            self._fetch(start, wanted)
        return self._file.read(wanted)

    def _fetch(self, start: int, wanted: int) -> None:
        if not os.path.samestat(_status(self._path), os.fstat(self._file.fileno())):
            raise _not_found(self._path)
        self._fetched = range(start, min(self._size, start + max(wanted, _CHUNK_BYTES)))

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(min(self._size, self._file.seek(offset, whence)))

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _Writer(io.BufferedIOBase):
    """Puts the object in place when it is closed, however that comes about; flushing does nothing."""

    mode = "w"

    def __init__(self, path: str) -> None:
        self._path = path
        self._buffer = io.BytesIO()

    def write(self, content: Any) -> int:
        return self._buffer.write(content)

    def tell(self) -> int:
        return self._buffer.tell()

    def close(self) -> None:
        if not self._buffer.closed:
            objects.put(objects.root(), self._path, self._buffer.getvalue())
            self._buffer.close()

    @property
    def closed(self) -> bool:
        return self._buffer.closed

    def flush(self) -> None:
        pass

    def writable(self) -> bool:
        return True


def _compressed(stream: _Reader | _Writer, compression_type: str) -> Any:
    if compression_type == CompressionTypes.UNCOMPRESSED:
        return stream
    return CompressedFile(stream, compression_type=compression_type)


def _parse(path: str, object_optional: bool = False) -> tuple[str, str]:
    """Bucket and name of a path."""
    match = re.match("^store://([^/]+)/(.*)$", path)
    if match is None or (match[2] == "" and not object_optional):
        raise ValueError(f"Store path must be in the form store://<bucket>/<object>. Encountered {path!r}")
    return match[1], match[2]


def _file(path: str) -> Path:
    _parse(path)
    return objects.file_of(objects.root(), path)


def _status(path: str) -> os.stat_result:
    try:
        return _file(path).stat()
    except FileNotFoundError:
        raise NotFound("Object %s not found") from None  # Beam does not fill it in.


def _not_found(path: str) -> NotFound:
    return NotFound(f"GET {path}: No such object: {path.removeprefix(objects.PREFIX)}")


def _copy(source: str, destination: str) -> None:
    _, name = _parse(source)
    if not _parse(destination, object_optional=True)[1]:
        destination += name
    try:
        content = objects.get(objects.root(), source)
    except FileNotFoundError:
        raise _not_found(source) from None
    objects.put(objects.root(), destination, content)


def _delete(paths: list[str]) -> None:
    """Delete objects; one that is not there is no error."""
    for path in paths:
        _file(path).unlink(missing_ok=True)
