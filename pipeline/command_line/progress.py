"""Progress of long work on stderr: a bar on a terminal, a line every 5 seconds elsewhere."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows items done, rate and time left; use it as a context manager.

    Args:
        progress_label: shown in front.
        total: number of items.
        unit: name of the items, in plural.
        done: items done before the start; the rate does not count them.
    """

    def __init__(self, progress_label: str, total: int, unit: str = "sequences", done: int = 0) -> None:
        self._label, self._total, self._unit = progress_label, total, unit
        self._initial = self._done = done
        self._start = self._last_line = time.monotonic()
        self._bar: tqdm | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                desc=progress_label,
                total=total,
                initial=done,
                unit=f" {unit}",
                unit_scale=True,
                file=sys.stderr,
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif error_type is None:
            self._print_line()

    def set(self, done: int) -> None:
        """Set the number of items done; a number below an earlier one is ignored."""
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
            f"{self._label}: {self._done:,} of {self._total:,} {self._unit}, {rate:,.0f}/s, {left}",
            file=sys.stderr,
            flush=True,
        )
