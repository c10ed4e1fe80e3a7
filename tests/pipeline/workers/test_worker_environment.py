"""A worker process of a local run that dies ends the job, whatever it was doing."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.processes import (
    children,
    listening_addresses,
    open_handles,
    stopping_at_their_start,
    wait_for_stopped,
    wait_until_gone,
)

# A job of two workers whose last step, which hands nothing on, is the given function.
JOB = """
import apache_beam as beam
from pipeline.generation.runners import choose_runner
from tests.pipeline.workers import test_worker_environment
if __name__ == "__main__":
    runner, options = choose_runner(None, 2, None, [])
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create([1, 2]) | beam.Reshuffle() | beam.Map(test_worker_environment.{step})
    try:
        pipeline.run().wait_until_finish()
    except RuntimeError as error:
        raise SystemExit(f"ended: {{error}}")
"""


def die(element: int) -> None:
    """A step that its process does not survive."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_a_child(element: int) -> None:
    """A step whose process dies before one that it has started."""
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(["sleep", "600"], stdout=nothing, stderr=nothing, close_fds=False)
    os.write(2, f"child {child.pid}\n".encode())
    die(element)


def do_nothing(element: int) -> None:
    """A step that any process survives."""


def wait(element: int) -> None:
    """A step that lasts longer than a test."""
    time.sleep(600)


@pytest.fixture
def start() -> Iterator[list["subprocess.Popen[str]"]]:
    """Jobs that the test starts; ended with it."""
    jobs: list[subprocess.Popen[str]] = []
    yield jobs
    for job in jobs:
        job.kill()
        job.wait(30)


def _job(step: str, env: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", JOB.format(step=step)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)


def test_death_in_a_step_that_hands_nothing_on(start: list["subprocess.Popen[str]"]) -> None:
    start.append(job := _job("die"))
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 1
    assert "ended: a worker process died" in errors


def test_death_before_what_the_worker_has_started(start: list["subprocess.Popen[str]"]) -> None:
    start.append(job := _job("die_before_a_child"))
    _, errors = job.communicate(timeout=240)
    left = re.findall(r"^child (\d+)$", errors, re.MULTILINE)
    assert left
    for child in left:
        os.kill(int(child), signal.SIGKILL)  # They are still there.
    assert job.returncode == 1
    assert "ended: a worker process died" in errors


@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_death_before_the_worker_connects(
    tmp_path: Path, start: list["subprocess.Popen[str]"], victim: int
) -> None:
    start.append(
        job := _job("do_nothing", stopping_at_their_start(tmp_path, "pipeline.workers.local_worker"))
    )
    workers = wait_for_stopped(job, "pipeline.workers.local_worker", 2)
    assert not any(map(_has_sockets, workers))
    os.kill(workers[victim], signal.SIGKILL)
    time.sleep(1)
    os.kill(workers[1 - victim], signal.SIGCONT)  # It may connect when the job has already failed.
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 1
    assert "ended: a worker process died" in errors or "ended: Channel closed prematurely" in errors
    wait_until_gone(workers, seconds=30)


def test_nothing_listens_to_other_machines(start: list["subprocess.Popen[str]"]) -> None:
    start.append(job := _job("wait"))
    deadline = time.monotonic() + 60
    while not any(map(_has_sockets, children(job.pid, "pipeline.workers.local_worker"))):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.1)
    addresses = listening_addresses(job.pid)
    assert addresses
    assert addresses <= {"127.0.0.1", "::1"}


def _has_sockets(pid: int) -> bool:
    return any(handle.startswith("socket:") for handle in open_handles(pid))
