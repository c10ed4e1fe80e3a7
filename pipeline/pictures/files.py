"""Files of pictures: checks their paths and writes them atomically."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence

from pipeline.command_line.errors import RequestError

PICTURE_TYPES = (".png", ".svg", ".pdf", ".gif")


def check_picture_path(path: str, types: Sequence[str] = PICTURE_TYPES, flag: str = "--output") -> str:
    """Check the path of a picture that is to be written.

    Args:
        path: path of the picture.
        types: allowed suffixes of the file name.
        flag: flag with which the path was given, for the error.

    Returns:
        ``path``.

    Raises:
        RequestError: if the suffix is not allowed, the directory does not exist, or the path is no file name.
    """
    if not path.endswith(tuple(types)):
        raise RequestError(f"{flag} {path}: a picture's name ends in {', '.join(types)}")
    directory, name = os.path.split(path)
    if not os.path.isdir(directory or "."):
        raise RequestError(f"{flag} {path}: no such directory {directory}; make it first")
    if os.path.isdir(path) or name in types:
        raise RequestError(f"{flag} {path}: name a file, as in line{types[0]}")
    return path


def save_atomically(path: str, save: Callable[[str], None]) -> None:
    """Call ``save`` with a temporary path in the same directory, and rename the file to ``path``.

    Args:
        path: final path of the file.
        save: writes a file to the path that it is given, which has the suffix of ``path``.

    Raises:
        OSError: if the file cannot be written, with ``path``; if ``save`` cannot read a file, with its path.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{uuid.uuid4().hex}.{name}")
    try:
        save(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, temporary):
            raise
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
