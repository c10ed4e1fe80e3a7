"""Keeps the servers that Beam starts in this process from everybody who is not on this machine.

Beam's runner of local workers, and the pool by which an engine's job server uses this process for a worker,
have their servers listen at every address of the machine, without asking who comes. Whoever reaches them can
read files as this user and have code run. Their clients are here: Beam itself tells them ``localhost``.
"""

from __future__ import annotations

from typing import Any

from apache_beam.runners.portability import abstract_job_service, local_job_service
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import worker_pool_main

_MODULES = (abstract_job_service, local_job_service, worker_handlers, worker_pool_main)
_EVERY_ADDRESS = "[::]:"


class _LoopbackGrpc:
    """The module ``grpc`` to one of Beam's, but its servers listen at the loopback interface only."""

    def __init__(self, grpc: Any) -> None:
        self._grpc = grpc

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grpc, name)

    def server(self, *arguments: Any, **named: Any) -> Any:
        """As ``grpc.server``."""
        server = self._grpc.server(*arguments, **named)
        add_port = server.add_insecure_port
        server.add_insecure_port = lambda address: add_port(address.replace(_EVERY_ADDRESS, "localhost:"))
        return server


def keep_to_loopback() -> None:
    """Let Beam's servers in this process listen at the loopback interface, from now on."""
    for module in _MODULES:
        if not isinstance(module.grpc, _LoopbackGrpc):
            module.grpc = _LoopbackGrpc(module.grpc)
