"""Worker processes of local runs are used for one job after another, and end with the program."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.generation.runners import choose_runner
from pipeline.workers.kept_workers import keep_workers
from tests.conftest import ROOT
from tests.processes import children, environment, wait_until_gone

_WORKER = "pipeline.workers.local_worker"


def note_process(element: int, folder: str) -> None:
    """A step that notes its process and all of its stdin, and lasts until every process has an element."""
    Path(folder, str(os.getpid())).write_bytes(sys.stdin.buffer.read())
    time.sleep(0.2)


def _used(folder: Path) -> set[int]:
    """Run a job of two workers; the processes that worked."""
    folder.mkdir()
    runner, options = choose_runner(None, 2, None, [])
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(note_process, str(folder))
    pipeline.run().wait_until_finish()
    assert not any(path.read_bytes() for path in folder.iterdir())
    return {int(path.name) for path in folder.iterdir()}


def _ours() -> set[int]:
    return set(children(os.getpid(), _WORKER))


def test_the_next_job_has_the_same_processes(tmp_path: Path) -> None:
    with keep_workers(2):
        started = _ours()
        assert len(started) == 2
        assert _used(tmp_path / "1") == started
        assert _used(tmp_path / "2") == started
    assert not _ours()


def test_processes_find_modules_where_the_program_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_the_program.py").write_text("def double(number): return 2 * number")
    monkeypatch.syspath_prepend(str(tmp_path))
    double = importlib.import_module("beside_the_program").double
    runner, options = choose_runner(None, 2, None, [])
    with beam.Pipeline(runner=runner, options=options) as pipeline:
        doubled = pipeline | beam.Create([1, 2]) | beam.Reshuffle() | beam.Map(double)
        assert_that(doubled, equal_to([2, 4]))


def test_processes_that_nobody_keeps_end_with_their_job(tmp_path: Path) -> None:
    first = _used(tmp_path / "1")
    assert not _ours()
    assert not first & _used(tmp_path / "2")


def test_a_process_that_died_between_two_jobs_is_replaced(tmp_path: Path) -> None:
    with keep_workers(2):
        first = _used(tmp_path / "1")
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        second = _used(tmp_path / "2")
        assert len(second) == 2
        assert victim not in second
        assert first & second


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    """A program that keeps two processes."""
    code = (
        "from pipeline.workers.kept_workers import keep_workers\nwith keep_workers(2): input(print('kept'))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_processes_without_work_end_with_their_program(program: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while len(workers := children(program.pid, _WORKER)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    program.kill()
    program.wait(30)
    wait_until_gone(workers, seconds=30)
