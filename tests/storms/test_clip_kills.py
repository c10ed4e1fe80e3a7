"""Making a data set of clips is killed at random moments, and goes on: nothing is lost or decoded twice."""

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
from tests.pipeline.clips.clip_folders import class_folders, data_files, write
from tests.processes import children, environment, wait_until_gone

pytestmark = pytest.mark.storm

NUM_KILLS = 20
NUM_CLIPS = 300
_WORKER, _DECODER = "pipeline.workers.local_worker", "pipeline.clips.decoder_process"


class Reference(NamedTuple):
    """The uninterrupted run: its sources, its files and its fingerprint."""

    source: Path
    files: dict[str, bytes]
    fingerprint: str


def _start(source: Path, directory: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pipeline.generate", "--dataset=clips", f"--source={source}"]
    command += [
        f"--output_dir={directory}",
        "--sequences_per_shard=5",
        "--frame_size=32x24",
        "--max_frames=4",
    ]
    return subprocess.Popen(
        [*command, "--direct_num_workers=2"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _entries(directory: Path) -> dict[str, int]:
    """Inodes of the files of clips that were decoded; a clip that is decoded again gets another one."""
    found = {}
    for path in (directory / ".generation" / "index").glob("*.entry"):
        try:
            found[path.name] = path.stat().st_ino
        except FileNotFoundError:  # It is being removed.
            continue
    return found


def _shards(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every shard that has its report beside it."""
    reports = (directory / ".generation" / "reports").glob("*.json")
    stats = {path.stem: (directory / path.stem).stat() for path in reports}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    source = write(folder / "S", class_folders(["cat", "dog"], NUM_CLIPS // 2))
    job = _start(source, folder / "d")
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors
    return Reference(source, data_files(folder / "d"), Dataset.open(str(folder / "d")).manifest.fingerprint)


@pytest.mark.parametrize("killed", ["main", "worker"])
@pytest.mark.parametrize("number", range(NUM_KILLS))
def test_a_killed_run_is_finished_by_the_same_command(
    tmp_path: Path, reference: Reference, killed: str, number: int
) -> None:
    directory, generator = tmp_path / "d", random.Random(f"{killed} {number}")
    reports = directory / ".generation" / "reports"
    num_shards = sum("tfrecord" in name for name in reference.files)
    job = _start(reference.source, directory)
    deadline = time.monotonic() + 120
    if number % 2:  # While it generates; else while it reads the clips.
        count = generator.randrange(num_shards)
        while job.poll() is None and (not reports.exists() or len(list(reports.glob("*.json"))) < count):
            assert time.monotonic() < deadline
            time.sleep(0.002)
    else:
        count = generator.randrange(1, NUM_CLIPS)
        while job.poll() is None and len(_entries(directory)) < count:
            assert time.monotonic() < deadline
            time.sleep(0.002)
    time.sleep(generator.uniform(0, 0.05))
    workers = children(job.pid, _WORKER)
    while killed == "worker" and job.poll() is None and not workers:
        time.sleep(0.005)
        workers = children(job.pid, _WORKER)
    decoders = [decoder for worker in workers for decoder in children(worker, _DECODER)]
    victim = job.pid if killed == "main" else (workers[number % len(workers)] if workers else None)
    if victim is not None and job.poll() is None:
        os.kill(victim, signal.SIGKILL)
    _, errors = job.communicate(timeout=120)
    wait_until_gone([*workers, *decoders], seconds=30)
    if killed == "worker" and job.returncode != 0:
        (line,) = [line for line in errors.splitlines() if "error" in line]
        assert "a worker process died" in line
    entries, shards = _entries(directory), _shards(directory)
    assert job.returncode == 0 or killed == "worker" or entries

    again = _start(reference.source, directory)
    most: dict[str, int] = {}
    while again.poll() is None:
        found = _entries(directory)
        assert all(found.get(name, inode) == inode for name, inode in entries.items()), "decoded again"
        most = max(most, found, key=len)  # In the end the folder is removed, file by file.
        time.sleep(0.01)
    output, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    assert reference.fingerprint in output
    assert data_files(directory) == reference.files
    assert job.returncode == 0 or entries.keys() <= most.keys()
    for name, before in shards.items():
        stat = (directory / name).stat()
        assert (stat.st_ino, stat.st_mtime_ns) == before, "a finished shard was written again"
    shutil.rmtree(directory)
    print(f"{killed} killed: {len(entries)} of {NUM_CLIPS} clips, {len(shards)} of {num_shards} shards kept")
