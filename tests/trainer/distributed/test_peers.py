"""Processes that lose one another: real ones, stopped by real signals; they train nothing."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import ROOT
from tests.processes import environment

# Finishes something every 20 ms for some seconds, then nothing for some seconds, and parts.
PROCESS = """
import sys, time
from trainer.distributed.cluster import Cluster
from trainer.distributed.peers import Decision, connected
index, timeout, busy, idle = int(sys.argv[1]), *map(float, sys.argv[2:5])
with connected("trainer.task", Cluster(tuple(sys.argv[5:]), index), {}, 60, timeout) as peers:
    print(peers.agree(index == 1, lambda stop: Decision(stop, False, 7)), flush=True)
    end = time.monotonic() + busy
    while time.monotonic() < end:
        peers.report_progress()
        time.sleep(0.02)
    time.sleep(idle)
"""

Process = subprocess.Popen[str]
Start = Callable[[float, list[tuple[float, float]]], list[Process]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a cluster with a time-out, whose processes are busy and then idle; all are there on return."""
    started: list[Process] = []

    def begin(timeout: float, lives: list[tuple[float, float]]) -> list[Process]:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in lives]
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        for each in sockets:
            each.close()
        for index, (busy, idle) in enumerate(lives):
            command = [sys.executable, "-c", PROCESS, *map(str, (index, timeout, busy, idle)), *addresses]
            pipe = subprocess.PIPE
            started.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=environment(), stdout=pipe, stderr=pipe, text=True, bufsize=1
                )
            )
        for process in started:
            assert process.stdout is not None
            # What the chief says to the wish of process 1.
            assert process.stdout.readline() == "Decision(stop=True, save=False, steps=7)\n"
        return started

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def _error(process: Process, seconds: float) -> str:
    """The line with which a process leaves, within some seconds."""
    _, errors = process.communicate(timeout=seconds)
    assert process.returncode == 1, errors
    (line,) = errors.splitlines()
    return str(line)


@pytest.mark.parametrize("stopped", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_stopped_process_is_named_and_ends_when_it_goes_on(start: Start, stopped: int) -> None:
    processes = start(3, [(600, 0)] * 2)
    processes[stopped].send_signal(signal.SIGSTOP)
    silent = rf"process {stopped} \(127\.0\.0\.1:\d+\) of the cluster has been silent for 3 s; .*start all of"
    assert re.search(silent, _error(processes[1 - stopped], 30))
    assert processes[stopped].poll() is None
    processes[stopped].send_signal(signal.SIGCONT)
    gone = f"process {1 - stopped} (127.0.0.1:"
    line = _error(processes[stopped], 30)
    assert gone in line
    assert "has ended" in line


def test_a_pause_is_forgiven(start: Start) -> None:
    processes = start(20, [(4, 0)] * 2)
    processes[1].send_signal(signal.SIGSTOP)
    time.sleep(2)
    processes[1].send_signal(signal.SIGCONT)
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("idle", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_one_that_finishes_nothing_is_named(start: Start, idle: int) -> None:
    lives = [(600.0, 0.0)] * 3
    lives[idle] = (0, 600)
    processes = start(3, lives)
    assert f"process {idle} (127.0.0.1:" in (line := _error(processes[0], 30))
    assert "is alive but has finished nothing for 3 s, while others are further" in line
    for process in processes[1:]:
        assert "process 0 (127.0.0.1:" in _error(process, 30)


@pytest.mark.slow
def test_nobody_is_named_where_all_wait(start: Start) -> None:
    processes = start(2, [(0, 6)] * 2)
    told = []
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        told.append(errors)
    assert told == ["trainer.task: no process of the cluster has finished anything for 2 s\n", ""]
