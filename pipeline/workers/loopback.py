"""Binds the gRPC servers that Beam starts in this process to the loopback interface.

By default these servers (of local workers, and of the worker pool that an engine's job server uses) listen on
all addresses of the machine without authentication, so anyone who can connect can run code and read files as
this user. All their clients run on this machine and connect to ``localhost``.
"""

from __future__ import annotations

from typing import Any

from apache_beam.runners.portability import abstract_job_service, local_job_service
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import worker_pool_main

_MODULES = (abstract_job_service, local_job_service, worker_handlers, worker_pool_main)
_EVERY_ADDRESS = "[::]:"


class _LoopbackGrpc:
    """Stands in for the module ``grpc`` in Beam's modules; its servers listen on loopback only."""

    def __init__(self, grpc: Any) -> None:
        self._grpc = grpc

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grpc, name)

    def server(self, *arguments: Any, **named: Any) -> Any:
        """Return ``grpc.server(...)``, with its insecure ports on loopback."""
        server = self._grpc.server(*arguments, **named)
        add_port = server.add_insecure_port
        server.add_insecure_port = lambda address: add_port(address.replace(_EVERY_ADDRESS, "localhost:"))
        return server


def listen_on_loopback_only() -> None:
    """Bind all servers that Beam starts in this process from now on to loopback."""
    for module in _MODULES:
        if not isinstance(module.grpc, _LoopbackGrpc):
            module.grpc = _LoopbackGrpc(module.grpc)
