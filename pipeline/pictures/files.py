"""Files of pictures: their types and paths, and writing them whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence

from pipeline.command_line.errors import RequestError

PICTURE_TYPES = (".png", ".svg", ".pdf", ".gif")


def check_picture_path(path: str, types: Sequence[str] = PICTURE_TYPES, flag: str = "--output") -> str:
    """Return the path, given with a flag, if a picture can be written there.

    Raises:
        RequestError: for an unknown type or a directory that is not there.
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
    """Call ``save`` with a temporary path beside ``path`` (same suffix) and rename the result into place.

    Raises:
        OSError: if it cannot be written, or what ``save`` reads cannot be read, naming which.
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
