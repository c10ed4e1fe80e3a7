"""Beam's Python workers for an engine on this machine: from pools, or as processes that the engine starts."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pipeline.workers
from tests.engines.servers import Servers, free_ports

POOL_NAME = "beam-workers"


def pool_address(host: int) -> str:
    """Where the pool of a host listens; each task manager stands for a host of its own."""
    return f"127.0.0.{host + 2}"  # All of 127.0.0.0/8 is the loopback interface.


@contextmanager
def worker_pools(
    directory: Path, boot: Path, environment: Mapping[str, str], count: int = 2
) -> Iterator[list[str]]:
    """A pool of Beam's Python workers for every task manager, and the flags by which a job uses them.

    Args:
        directory: for their logs; made if it is not there.
        boot: starts a worker; see `boot_script`.
        environment: of the pools and their workers.
        count: of task managers.
    """
    (port,) = free_ports(1)
    with Servers(directory) as servers:
        for number in range(count):
            command = [
                sys.executable,
                "-m",
                "pipeline.workers.worker_pool",
                f"--address={pool_address(number)}:{port}",
            ]
            servers.start(f"pool-{number}", [*command, f"--container_executable={boot}"], environment)
        names = [f"pool-{number}" for number in range(count)]
        servers.wait_until(lambda: all("serving at" in servers.log(name) for name in names), 60)
        yield ["--environment_type=EXTERNAL", f"--environment_config={POOL_NAME}:{port}"]


def boot_script(directory: Path, python: Path) -> Path:
    """Write a program that boots a worker by `pipeline.workers.worker_boot`.

    Args:
        directory: for the script; made if it is not there.
        python: of the workers; has Beam, and need not have this project.
    """
    directory.mkdir(parents=True, exist_ok=True)
    script, boot = directory / "boot.sh", Path(pipeline.workers.__file__).with_name("worker_boot.py")
    script.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{python}" "{boot}" "$@"\n')
    script.chmod(0o755)
    return script


def booted_processes(boot: Path) -> list[str]:
    """The flags by which every task manager starts its workers itself."""
    return ["--environment_type=PROCESS", f"--environment_config={json.dumps({'command': str(boot)})}"]
