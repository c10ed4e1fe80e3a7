"""The errors of every program: a wrong request, work that failed; and any error as one line."""

from __future__ import annotations

WORKER_DIED = "a worker process died (killed, or out of memory)"


class RequestError(ValueError):
    """The request was wrong. The message is one line: what, where, what to do. Exit code 2."""


class WorkError(RuntimeError):
    """The request was right but the work failed. The message is one line. Exit code 1."""


def one_line(error: BaseException) -> str:
    """An error as one line: what the system says and, for OSError, of which file."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
