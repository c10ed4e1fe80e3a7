"""The two errors of all programs, and the text of any error as one line."""

from __future__ import annotations

WORKER_DIED = "a worker process died (killed, or out of memory)"


class RequestError(ValueError):
    """The user's request is wrong. The message is one line: what, where, what to do. Exit code 2."""


class WorkError(RuntimeError):
    """The request is valid, but the work failed. The message is one line. Exit code 1."""


def one_line(error: BaseException) -> str:
    """The error's message on one line; for OSError, the file's name and the system's message."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
