"""A Dask cluster of separate processes on the loopback interface, for trying and testing."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.engines.servers import Servers, free_ports


class DaskCluster(NamedTuple):
    """A scheduler and its workers, of one thread each."""

    address: str
    workers: list["subprocess.Popen[bytes]"]

    @property
    def flags(self) -> list[str]:
        """What `pipeline.generate` is given."""
        return ["--runner=DaskRunner", f"--dask_client_address={self.address}"]


@contextmanager
def dask_cluster(directory: Path, environment: Mapping[str, str], workers: int = 2) -> Iterator[DaskCluster]:
    """A cluster that runs as long as the block.

    Args:
        directory: for its logs and files; made if it is not there.
        environment: of its processes; with this project on the ``PYTHONPATH``, if they are to know it.
        workers: how many.
    """
    (port,) = free_ports(1)
    address, common = f"tcp://127.0.0.1:{port}", ["--host=127.0.0.1", "--no-dashboard"]
    dask = [sys.executable, "-m", "dask"]
    one = ["--nworkers=1", "--nthreads=1", "--no-nanny", f"--local-directory={directory}"]
    with Servers(directory) as servers:
        servers.start("scheduler", [*dask, "scheduler", f"--port={port}", *common], environment)
        servers.wait_until(lambda: "Scheduler at:" in servers.log("scheduler"), 60)
        processes = [
            servers.start(f"worker-{number}", [*dask, "worker", address, *common, *one], environment)
            for number in range(workers)
        ]
        servers.wait_until(lambda: servers.log("scheduler").count("Register worker") == workers, 60)
        yield DaskCluster(address, processes)
