"""One process at a time writes into a directory."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.command_line.errors import WorkError, one_line
from pipeline.storage import files

# What file systems without locks answer. The last one is NFS, which wants a descriptor that is open for
# writing; a directory's never is.
_NOT_SUPPORTED = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold a local directory that exists, until the block ends or the process does, however it ends.

    The lock is the system's, on the directory itself: it leaves no file behind, and follows the directory
    where it is renamed. Object stores (``gs://`` and the like) have no such locks: nothing is held there.
    Nor is it in a file system that knows none, which a line on stderr says; on others that hosts share it may
    keep processes of one host apart only.

    Raises:
        OSError: if the lock fails otherwise.
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
    while True:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            _lock(descriptor, directory)
            # The one that held it before may have put another directory in its place.
            if os.path.exists(directory) and os.path.samestat(os.fstat(descriptor), os.stat(directory)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, directory: str) -> None:
    import fcntl  # Windows has none, and is to be told so in one line.

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
