"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts items towards a total; use it as a context manager.

    Args:
        what: shown in front.
        total: how many items there are.
        unit: what the items are.
        done: how many were done before, so that the rate counts only the new ones.
    """

    def __init__(self, what: str, total: int, unit: str = "sequences", done: int = 0) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._initial = self._done = done
        self._start = self._last_line = time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                desc=what, total=total, initial=done, unit=f" {unit}", unit_scale=True, file=sys.stderr
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif error_type is None:
            self._print_line()

    def set(self, done: int) -> None:
        """Say how many items are done by now; never counts backwards."""
        done = max(done, self._done)
        if self._bar is not None:
            self._bar.update(done - self._done)
        self._done = done
        if self._bar is None and time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._print_line()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        seconds = max(self._last_line - self._start, 1e-9)
        rate = (self._done - self._initial) / seconds
        left = f"{(self._total - self._done) / rate:,.0f} s left" if rate else "time left unknown"
        print(
            f"{self._what}: {self._done:,} of {self._total:,} {self._unit}, {rate:,.0f}/s, {left}",
            file=sys.stderr,
            flush=True,
        )
