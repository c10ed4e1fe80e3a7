"""The generator is killed at random moments and run again: nothing is lost, nothing made twice."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.dataset.reader import Dataset
from tests.conftest import ROOT
from tests.processes import children, environment, wait_until_gone

pytestmark = pytest.mark.storm

NUM_KILLS = 20
# Some seconds of work in many shards, of a built-in kind and of one's own.
REQUESTS = {
    "lines": [
        *("--num_train=3000000", "--num_validation=50000", "--num_test=50000"),
        "--sequences_per_shard=25000",
    ],
    "balls": [
        "--dataset=bouncing_balls:BouncingBalls",
        *("--num_train=5000", "--num_validation=100", "--num_test=100", "--sequences_per_shard=50"),
    ],
}


class Reference(NamedTuple):
    """The uninterrupted run: its request, digests of its shards, and its fingerprint."""

    request: list[str]
    shards: dict[str, str]
    fingerprint: str


def _start(directory: Path, request: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipeline.generate", f"--output_dir={directory}", *request]
    command.append("--direct_num_workers=2")
    known = environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "examples" / "bouncing_balls")]))
    return subprocess.Popen(
        command, cwd=ROOT, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait(job: "subprocess.Popen[str]", directory: Path, shards: int, seconds: float) -> None:
    """Wait until the job has finished some shards, and then a moment, but not beyond its end."""
    while job.poll() is None and len(_reports(directory)) < shards:
        time.sleep(0.002)
    time.sleep(seconds)


def _reports(directory: Path) -> list[Path]:
    return list((directory / ".generation" / "reports").glob("*.json"))


def _digests(directory: Path) -> dict[str, str]:
    shards = (path for path in directory.iterdir() if "tfrecord" in path.name)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


def _finished(directory: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of every shard that has its report beside it."""
    shards = [directory / report.name.removesuffix(".json") for report in _reports(directory)]
    return {shard: (shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in shards}


@pytest.fixture(scope="module", params=REQUESTS)
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    directory, wanted = tmp_path_factory.mktemp("reference") / "d", REQUESTS[request.param]
    job = _start(directory, wanted)
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors
    made = Reference(wanted, _digests(directory), Dataset.open(str(directory)).manifest.fingerprint)
    shutil.rmtree(directory)
    return made


@pytest.mark.parametrize("killed", ["main", "worker"])
@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_a_killed_run_is_finished_by_the_same_command(
    tmp_path: Path, reference: Reference, killed: str, number: int
) -> None:
    directory = tmp_path / "d"
    # At any moment, from the first shard under way to the count of duplicates at the end.
    generator = random.Random(f"{killed} {number}")
    job = _start(directory, reference.request)
    _wait(job, directory, generator.randint(0, len(reference.shards)), generator.uniform(0, 0.1))
    workers = children(job.pid, "pipeline.workers.local_worker")
    while killed == "worker" and job.poll() is None and not workers:  # Killed as soon as it is there.
        time.sleep(0.005)
        workers = children(job.pid, "pipeline.workers.local_worker")
    victim = job.pid if killed == "main" else (workers[number % len(workers)] if workers else None)
    if victim is not None and job.poll() is None:
        os.kill(victim, signal.SIGKILL)
    _, errors = job.communicate(timeout=120)
    wait_until_gone(workers, seconds=30)
    if killed == "worker" and job.returncode != 0:
        (line,) = [line for line in errors.splitlines() if "error" in line]
        assert "a worker process died" in line
    kept = _finished(directory)
    assert {shard.name: reference.shards[shard.name] for shard in kept}.items() <= _digests(directory).items()

    again = _start(directory, reference.request)
    output, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert reference.fingerprint in output
    assert _digests(directory) == reference.shards
    for shard, before in kept.items():
        assert (shard.stat().st_ino, shard.stat().st_mtime_ns) == before, "a finished shard was written again"
    assert not (directory / ".generation").exists()
    shutil.rmtree(directory)
    print(f"{killed} killed: {len(kept)} of {len(reference.shards)} shards were kept")
