"""Worker processes of a local run, whose death is noticed whatever they were doing.

Beam's own handler of subprocesses learns of a death by the stream of data, and only there: a worker that
dies before it connects, or in a step that hands nothing on, is waited for without end.
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
_SECONDS_BETWEEN_LOOKS = 0.2


class LocalWorkerEnvironment(SubprocessSDKEnvironment):
    """Workers are processes of this interpreter with ``pipeline.workers.local_worker``."""

    def __init__(self) -> None:
        # Beam starts it through a shell; exec leaves no shell behind that would outlive or speak for it.
        super().__init__(f"exec {shlex.quote(sys.executable)} -m pipeline.workers.local_worker")

    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        """The environment as Beam's runner hands it to `_LocalWorkerHandler`."""
        return _URN, self.command_string.encode()


@WorkerHandler.register_environment(_URN, bytes)
class _LocalWorkerHandler(SubprocessSdkWorkerHandler):
    """Ends what waits for a worker as soon as its process has ended."""

    def start_worker(self) -> None:
        self._closed = threading.Event()
        super().start_worker()
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        # Ends a worker, too, that connects only now, after another one has failed: Beam would wait for it.
        self.control_conn.push(Sentinel.sentinel)
        super().close()

    def _follow(self) -> None:
        self.worker_thread.join()
        with contextlib.suppress(Exception):  # It raises what broke the stream, which is this death.
            self.data_conn.close()
        # More than once: a request may be on its way while the first ones are being ended.
        while not self._closed.wait(_SECONDS_BETWEEN_LOOKS):
            with contextlib.suppress(RuntimeError):  # The requests changed while they were gone through.
                self.control_conn.abort(RuntimeError(WORKER_DIED))
