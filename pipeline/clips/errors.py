"""Errors of clips."""

from __future__ import annotations

from pipeline.command_line.errors import one_line


class BadClipError(Exception):
    """A clip cannot be used, or not from some frame on; the message is the reason, without the clip's name.

    Attributes:
        is_damaged: whether the frames before are whole, so that a caller may keep them.
    """

    def __init__(self, reason: str, *, is_damaged: bool = False) -> None:
        super().__init__(reason)
        self.is_damaged = is_damaged


def reason_of(error: Exception) -> str:
    """What a library says of a file, on one line and without the file's name."""
    return str(getattr(error, "strerror", None) or one_line(error))
