"""A lock on a directory, so that one process at a time writes into it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.command_line.errors import WorkError, one_line
from pipeline.storage import files

# Errors of file systems that do not support flock. EBADF comes from NFS, which needs a descriptor open for
# writing; a directory cannot be opened so.
_NOT_SUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold an exclusive lock on an existing directory for the duration of the block.

    The lock is ``flock`` on the directory itself: it leaves no file, follows a rename, and ends with the
    process. It is not taken on object stores, and not where the file system does not support it; the latter
    is reported on stderr. On a network file system it may exclude only processes of the same host.

    Raises:
        OSError: if the directory cannot be opened or locked for another reason.
        WorkError: if another process holds the lock.
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
    while True:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            _lock(descriptor, directory)
            # The previous holder may have replaced the directory: then lock the new one.
            if os.path.exists(directory) and os.path.samestat(os.fstat(descriptor), os.stat(directory)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, directory: str) -> None:
    import fcntl  # Not on Windows, where the program ends with its own message; see `run`.

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WorkError(
            f"{directory}: another process is working there; wait for it, or end it, and run this again"
        ) from error
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise OSError(error.errno, error.strerror, directory) from error
        print(
            f"{directory}: its file system has no locks ({one_line(error)}): two runs at once are not kept"
            " apart there",
            file=sys.stderr,
        )
