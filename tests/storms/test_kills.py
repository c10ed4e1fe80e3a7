"""The generator is killed at random moments and run again: nothing is lost, nothing made twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.generate import generate
from pipeline.settings import DatasetSettings
from tests.conftest import ROOT
from tests.processes import children, wait_until_gone

pytestmark = pytest.mark.storm

NUM_KILLS = 20
# Enough for some seconds of work in many shards.
COUNTS = {"num_train": 1_600_000, "num_validation": 50_000, "num_test": 50_000}
PER_SHARD = 25_000


def _command(directory: Path) -> list[str]:
    flags = [f"--{name}={count}" for name, count in COUNTS.items()]
    flags += [f"--output_dir={directory}", f"--sequences_per_shard={PER_SHARD}", "--direct_num_workers=2"]
    return [sys.executable, "-m", "pipeline.generate", *flags]


def _shards(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if "tfrecord" in path.name}


def _finished(directory: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of every shard that has its report beside it."""
    reports = (directory / ".generation" / "reports").glob("*.json")
    shards = [directory / report.name.removesuffix(".json") for report in reports]
    return {shard: (shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in shards}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], str, float]:
    """The uninterrupted run: its shards, its fingerprint and how many seconds it took."""
    directory = tmp_path_factory.mktemp("reference") / "d"
    start = time.monotonic()
    subprocess.run(_command(directory), cwd=ROOT, check=True, capture_output=True, timeout=240)
    seconds = time.monotonic() - start
    settings = DatasetSettings(0, 50, "path", *COUNTS.values(), PER_SHARD)
    manifest, made = generate(settings, str(directory))
    assert not made
    return _shards(directory), manifest.fingerprint, seconds


@pytest.mark.parametrize("killed", ["main", "worker"])
@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_a_killed_run_is_finished_by_the_same_command(
    tmp_path: Path, reference: tuple[dict[str, bytes], str, float], killed: str, number: int
) -> None:
    shards, fingerprint, seconds = reference
    directory = tmp_path / "d"
    moment = random.Random(f"{killed} {number}").uniform(0, seconds)
    job = subprocess.Popen(
        _command(directory), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    started = time.monotonic()
    victim = job.pid
    workers: list[int] = []
    while job.poll() is None and time.monotonic() - started < moment:
        time.sleep(0.01)
    if killed == "worker":
        # A kill before the workers are there waits for them.
        while job.poll() is None and not (workers := children(job.pid, "pipeline.local_worker")):
            time.sleep(0.01)
        victim = workers[number % len(workers)] if workers else job.pid
    else:
        workers = children(job.pid, "pipeline.local_worker")
    ended_before = job.poll() is not None
    if not ended_before:
        os.kill(victim, signal.SIGKILL)
    _, errors = job.communicate(timeout=120)
    wait_until_gone(workers, seconds=30)
    if killed == "worker" and not ended_before and job.returncode != 0:
        (line,) = [line for line in errors.splitlines() if "error" in line]
        assert "a worker process died" in line
    kept = _finished(directory) if directory.exists() else {}
    for shard, _ in kept.items():
        assert shard.read_bytes() == shards[shard.name]

    again = subprocess.run(
        _command(directory), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert again.returncode == 0, again.stderr
    assert fingerprint in again.stdout
    assert _shards(directory) == shards
    for shard, before in kept.items():
        assert (shard.stat().st_ino, shard.stat().st_mtime_ns) == before, "a finished shard was written again"
    assert not (directory / ".generation").exists()
    print(f"{killed} killed after {moment:.2f} s: {len(kept)} of {len(shards)} shards kept")
