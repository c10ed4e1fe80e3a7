"""Beam worker processes on this machine; a job fails when one of them dies.

Beam's own `SubprocessSdkWorkerHandler` notices a death only through the data stream. If a worker dies before
it connects, or in a step without output, the job waits forever.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
import threading

from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from apache_beam.utils.sentinel import Sentinel

from pipeline.command_line.errors import WORKER_DIED

_URN = "moving_lines:environment:local_worker:v1"
_ABORT_INTERVAL_SECONDS = 0.2


class LocalWorkerEnvironment(SubprocessSDKEnvironment):
    """Beam environment whose workers run ``pipeline.workers.local_worker`` in this Python interpreter."""

    def __init__(self) -> None:
        # Beam starts the command in a shell. `exec` replaces the shell, so that signals and the exit code are
        # the worker's own.
        super().__init__(f"exec {shlex.quote(sys.executable)} -m pipeline.workers.local_worker")

    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        """URN and payload, from which Beam's runner selects and constructs `_LocalWorkerHandler`."""
        return _URN, self.command_string.encode()


@WorkerHandler.register_environment(_URN, bytes)
class _LocalWorkerHandler(SubprocessSdkWorkerHandler):
    """Aborts the requests to a worker as soon as its process has ended."""

    def start_worker(self) -> None:
        self._closed = threading.Event()
        super().start_worker()
        threading.Thread(target=self._abort_after_exit, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        # Also stops a worker that connects after another one has failed, for which Beam would wait.
        self.control_conn.push(Sentinel.sentinel)
        super().close()

    def _abort_after_exit(self) -> None:
        self.worker_thread.join()
        with contextlib.suppress(Exception):  # Raises the error of the broken stream.
            self.data_conn.close()
        # Repeat: a request may be added while the earlier ones are aborted.
        while not self._closed.wait(_ABORT_INTERVAL_SECONDS):
            with contextlib.suppress(RuntimeError):  # The requests changed during iteration.
                self.control_conn.abort(RuntimeError(WORKER_DIED))
