"""A disk runs full in the middle of a job, on a real, small file system."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.moving_line.encodings import ENCODINGS
from tests.conftest import ROOT

pytestmark = pytest.mark.storm

MEBIBYTE = 2**20
COUNTS = ["--num_train=60000", "--num_validation=1000", "--num_test=1000", "--sequences_per_shard=2000"]


def _run(directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.generate", f"--output_dir={directory}", *COUNTS, *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def _shards(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if "tfrecord" in path.name}


def _finished(directory: Path) -> list[Path]:
    """Shards that are reported; one whose report found no room is made again."""
    reports = (directory / ".generation" / "reports").glob("*.json")
    return [directory / report.name.removesuffix(".json") for report in reports]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_a_disk_that_runs_full_is_one_line_and_the_rerun_finishes(
    tmp_path: Path, small_disk: Path, workers: int, encoding: str
) -> None:
    size = [f"--encoding={encoding}", f"--image_size={50 if encoding == 'path' else 10}"]
    flags = [*size, f"--direct_num_workers={workers}"]
    assert _run(tmp_path / "reference", *size).returncode == 0
    directory = small_disk / "d"
    command = [sys.executable, "-m", "pipeline.generate", f"--output_dir={directory}", *COUNTS, *flags]
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # The request fits when it starts; then something else takes the room.
    deadline = time.monotonic() + 60
    while not _finished(directory) and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    ballast = small_disk / "ballast"
    with ballast.open("wb") as stream:
        try:
            while True:
                stream.write(bytes(MEBIBYTE // 16))
                stream.flush()
        except OSError:
            pass
    _, errors = job.communicate(timeout=120)
    assert job.returncode == 1, errors
    (line,) = [line for line in errors.splitlines() if "error" in line]
    assert "No space left on device" in line
    assert "the same command goes on where it stopped" in line
    assert "Traceback" not in errors
    refused = _run(directory, *flags)
    assert refused.returncode == 2
    assert "bytes" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

    kept = {path: path.stat().st_ino for path in _finished(directory)}
    ballast.unlink()
    again = _run(directory, *flags)
    assert again.returncode == 0, again.stderr
    assert _shards(directory) == _shards(tmp_path / "reference")
    assert all(path.stat().st_ino == inode for path, inode in kept.items())
    assert kept
