"""Beam's workers as processes on this machine; a job fails when one of them dies.

Beam's own `SubprocessSdkWorkerHandler` starts new ones for every job, and notices a death only through the
data stream: if a worker dies before it connects, or in a step without output, the job waits forever.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from apache_beam.utils.sentinel import Sentinel
from google.protobuf import json_format, text_format

from pipeline.command_line.errors import WORKER_DIED
from pipeline.workers.kept_workers import give_back, take_worker

_URN = "moving_lines:environment:local_worker:v1"
_ABORT_INTERVAL_SECONDS = 0.2


class LocalWorkerEnvironment(SubprocessSDKEnvironment):
    """Beam environment whose workers are those of `pipeline.workers.kept_workers`."""

    def __init__(self) -> None:
        super().__init__("")  # There is no command to start.

    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        """URN and payload, from which Beam's runner selects and constructs `_LocalWorkerHandler`."""
        return _URN, b""


@WorkerHandler.register_environment(_URN, bytes)
class _LocalWorkerHandler(GrpcWorkerHandler):
    """Has a process work for a job, and aborts the requests to it as soon as it has ended."""

    def __init__(self, payload: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._closed = threading.Event()
        self._worker = take_worker()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start_worker(self) -> None:
        self._thread.start()

    def stop_worker(self) -> None:
        self._thread.join()

    def close(self) -> None:
        self._closed.set()
        # Also stops a worker that connects after another one has failed, for which Beam would wait.
        self.control_conn.push(Sentinel.sentinel)
        super().close()

    def _work(self) -> None:
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        options = self.provision_info.provision_info.pipeline_options
        environment = {
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
            "PIPELINE_OPTIONS": json_format.MessageToJson(options),
            "WORKER_ID": self.worker_id,
        }
        if self._worker.work(environment):
            give_back(self._worker)
        else:
            self._worker.close()
        with contextlib.suppress(Exception):  # Raises the error of the broken stream.
            self.data_conn.close()
        # Repeat: a request may be added while the earlier ones are aborted.
        while not self._closed.wait(_ABORT_INTERVAL_SECONDS):
            with contextlib.suppress(RuntimeError):  # The requests changed during iteration.
                self.control_conn.abort(RuntimeError(WORKER_DIED))
