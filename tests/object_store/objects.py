"""The objects themselves: a file each in one flat directory, named by their quoted paths.

A file is put in place whole, by a rename, so that every process sees an object or none. ``%`` before anything
but two hexadecimal digits is in no quoted path: it marks what is no object, or one whose quoted path is too
long for a file's name. Such a one is named by a digest, and a file beside it, which stays, knows its path.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

VARIABLE = "MOVING_LINES_TEST_STORE"  # Names the directory.
PREFIX = "store://"
_LONGEST_NAME = 255
_PART, _LONG, _PATH = "%part-", "%long-", "%path-"


def root() -> Path:
    """The directory of this process' environment."""
    return Path(os.environ[VARIABLE])


def put(directory: Path, path: str, content: bytes) -> None:
    """Create an object, or replace it."""
    file = file_of(directory, path)
    if file.name.startswith(_LONG):
        _write(directory, directory / file.name.replace(_LONG, _PATH), path.encode())
    _write(directory, file, content)


def get(directory: Path, path: str) -> bytes:
    """An object's bytes.

    Raises:
        FileNotFoundError: if there is none.
    """
    return file_of(directory, path).read_bytes()


def remove(directory: Path, path: str) -> None:
    """Remove an object.

    Raises:
        FileNotFoundError: if there is none.
    """
    file_of(directory, path).unlink()


def paths(directory: Path, prefix: str = PREFIX) -> list[str]:
    """Paths of all objects that start with a prefix, in order."""
    return sorted(path for path in _all_paths(directory) if path.startswith(prefix))


def sizes(directory: Path, prefix: str = PREFIX) -> dict[str, int]:
    """Sizes of those objects, in bytes."""
    return {path: file_of(directory, path).stat().st_size for path in paths(directory, prefix)}


def objects(directory: Path, prefix: str = PREFIX) -> dict[str, bytes]:
    """The bytes of those objects."""
    return {path: get(directory, path) for path in paths(directory, prefix)}


def file_of(directory: Path, path: str) -> Path:
    """The file that an object is kept in, or would be."""
    name = quote(path.removeprefix(PREFIX), safe="")
    if len(name) > _LONGEST_NAME:
        name = _LONG + hashlib.sha256(path.encode()).hexdigest()
    return directory / name


def _all_paths(directory: Path) -> Iterator[str]:
    for name in os.listdir(directory):
        if name.startswith(_LONG):
            yield (directory / name.replace(_LONG, _PATH)).read_text()
        elif not name.startswith((_PART, _PATH)):
            yield PREFIX + unquote(name)


def _write(directory: Path, file: Path, content: bytes) -> None:
    part = directory / f"{_PART}{uuid.uuid4().hex}"
    part.write_bytes(content)
    part.replace(file)
