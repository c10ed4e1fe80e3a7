"""One process at a time writes into a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline import files
from pipeline.program import WorkError


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold a local directory that exists, until the block ends or the process does, however it ends.

    The lock is the system's, on the directory itself: it leaves no file behind, and follows the directory
    where it is renamed. Object stores (``gs://`` and the like) have no such locks: nothing is held there.

    Raises:
        WorkError: if another process holds it.
    """
    if not files.is_local(directory):
        yield
        return
    descriptor = _open(directory)
    try:
        yield
    finally:
        os.close(descriptor)


def _open(directory: str) -> int:
    import fcntl  # Windows has none, and is to be told so in one line.

    while True:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise WorkError(
                f"{directory}: another process is working there; wait for it, or end it, and run this again"
            ) from error
        except OSError:
            pass  # Some network file systems know no locks.
        # The one that held it before may have put another directory in its place.
        if os.path.exists(directory) and os.path.samestat(os.fstat(descriptor), os.stat(directory)):
            return descriptor
        os.close(descriptor)
