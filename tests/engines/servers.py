"""Processes of an engine: started with a log, waited for, ended by their own ids."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens at now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Servers:
    """Starts processes; the block's end ends those that still run, the last one first."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in reversed(self._processes.values()):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a process, in the directory, that writes to ``NAME.log``."""
        with open(self.directory / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                command, cwd=self.directory, env=env, stdout=log, stderr=subprocess.STDOUT
            )
        self._processes[name] = process
        return process

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def wait_until(self, what: Callable[[], bool], seconds: float) -> None:
        """Wait for something, while every process runs."""
        deadline = time.monotonic() + seconds
        while not what():
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} has ended: {self.log(name)[-2000:]}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {sorted(self._processes)}"
            time.sleep(0.1)
