"""Errors of clips."""

from __future__ import annotations


class BadClipError(Exception):
    """A clip cannot be used, or not from some frame on; the message is the reason, without the clip's name.

    Attributes:
        is_damaged: whether the frames before are whole, so that a caller may keep them.
    """

    def __init__(self, reason: str, *, is_damaged: bool = False) -> None:
        super().__init__(reason)
        self.is_damaged = is_damaged
