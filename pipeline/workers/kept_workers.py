"""Processes on this machine that work for Beam; each takes one job after another.

Importing Beam takes longer than a small job does. So the processes are started before the program imports it
itself, and those that have finished a job are kept for the next one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress


class KeptWorker:
    """A process that runs `pipeline.workers.local_worker`."""

    def __init__(self) -> None:
        read_end, write_end = os.pipe()
        # The process has the only open write end, so that the pipe ends with it, however it ends.
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.workers.local_worker", str(write_end)],
                stdin=subprocess.PIPE,
                pass_fds=[write_end],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_module_paths())},
            )
        finally:
            os.close(write_end)
        self._answers = os.fdopen(read_end, "rb")

    def work(self, environment: Mapping[str, str]) -> bool:
        """Work for a job, until that ends; return whether the process is still there.

        Args:
            environment: variables by which Beam's worker finds its job.
        """
        assert self._process.stdin is not None
        with suppress(OSError):  # A process that has died.
            self._process.stdin.write(json.dumps(environment).encode() + b"\n")
            self._process.stdin.flush()
        return bool(self._answers.readline())

    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):  # What it was not told.
            self._process.stdin.close()
        self._answers.close()


def _module_paths() -> list[str]:
    """Where this program finds modules, and what was added for processes that it starts.

    It may have found a kind of its own by changing `sys.path`. In another order, a worker could find another
    module of the same name.
    """
    own = [path for path in sys.path if path]
    added = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    return [*(path for path in added if path not in own), *own]


_idle: list[KeptWorker] = []
_is_keeping = False


@contextmanager
def keep_workers(count: int) -> Iterator[None]:
    """Start so many processes, and for the duration of the block keep those whose job has ended."""
    global _is_keeping
    _is_keeping = True
    try:
        _idle.extend(KeptWorker() for _ in range(count))
        yield
    finally:
        _is_keeping = False
        while _idle:
            _idle.pop().close()


def take_worker() -> KeptWorker:
    """A process without work: one that is kept, else a new one."""
    while _idle:
        worker = _idle.pop()
        if worker.is_alive():
            return worker
        worker.close()
    return KeptWorker()


def give_back(worker: KeptWorker) -> None:
    """Keep a process whose job has ended, or end it."""
    if _is_keeping:
        _idle.append(worker)
    else:
        worker.close()
