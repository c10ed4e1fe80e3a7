"""Handles SIGTERM and Ctrl-C, so that the training can finish its step and save."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Records the first SIGTERM or SIGINT inside a ``with`` block; a second one has its usual effect.

    Python handles signals only in the main thread. In another thread nothing is recorded, and a line on
    stderr says so.

    Attributes:
        signal_name: name of the signal received; None before.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is not threading.main_thread():
            print(
                "training outside the main thread: signals are not caught, so SIGTERM and Ctrl-C may end it"
                " at once; the same call goes on after the last checkpoint",
                file=sys.stderr,
            )
            return self
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        self._restore()
        # Not `print`: the handler may interrupt another `print`.
        with contextlib.suppress(OSError):  # Ctrl-C also ends the process that stdout is piped to.
            os.write(1, b"\nfinishing the step, then saving; another signal ends at once\n")
