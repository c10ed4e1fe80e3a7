"""A run of `pipeline.generate` with more than 200 shards, watched while it works."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.dataset.reader import Dataset
from tests.conftest import ROOT
from tests.processes import environment

# 206 shards; frames, so that a shard takes an engine's worker a moment.
COUNTS = ("--num_train=20000", "--num_validation=300", "--num_test=300", "--sequences_per_shard=100")
SHAPE = ("--image_size=24", "--encoding=frames")


# A kind of one's own, which the engine's workers are to know; 103 shards.
BALLS = (
    "--dataset=bouncing_balls:BouncingBalls",
    *("--num_train=2000", "--num_validation=30", "--num_test=30", "--sequences_per_shard=20"),
)
BALLS_PATH = os.pathsep.join([str(ROOT), str(ROOT / "examples" / "bouncing_balls")])


class Made(NamedTuple):
    """What a run made: its fingerprint, and the SHA-256 of every file that is the same everywhere."""

    fingerprint: str
    files: dict[str, str]

    @classmethod
    def of(cls, directory: Path) -> "Made":
        """Read a finished data set; it holds nothing besides."""
        names = {path.name for path in directory.iterdir()}
        digests = {
            name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
            for name in names - {"manifest.json"}  # That tells of time and host, too.
        }
        return cls(Dataset.open(str(directory)).manifest.fingerprint, digests)


class Generation:
    """The generator in a process of its own; ended with the block.

    Args:
        directory: the data set's.
        flags: of the runner.
        request: what to make.
        more: variables of its environment.
    """

    def __init__(
        self,
        directory: Path,
        flags: Sequence[str],
        request: Sequence[str] = (*COUNTS, *SHAPE),
        **more: str,
    ) -> None:
        self.directory = directory
        self._errors = directory.with_name(f"{directory.name}.err")
        command = [
            sys.executable,
            "-m",
            "pipeline.generate",
            f"--output_dir={directory}",
            *request,
            *flags,
        ]
        with open(self._errors, "w") as errors:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(**more), stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # A job elsewhere is to end, too.
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.communicate()

    @property
    def errors(self) -> str:
        """What it printed on stderr so far."""
        return self._errors.read_text()

    def finished_shards(self) -> int:
        """How many shards have their report."""
        return len(list((self.directory / ".generation" / "reports").glob("*.json")))

    def wait_for_clips(self, count: int, seconds: float) -> None:
        """Wait until so many clips of a data set of clips are decoded, while others are not."""
        index, deadline = self.directory / ".generation" / "index", time.monotonic() + seconds
        while len(list(index.glob("*.entry"))) < count:
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.05)

    def wait_for_shards(self, count: int, seconds: float) -> None:
        """Wait until so many shards are finished, while others are not."""
        deadline = time.monotonic() + seconds
        while self.finished_shards() < count:
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.05)

    def finish(self, seconds: float) -> str:
        """Wait for a good end; what was printed on stdout."""
        output, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, self.errors
        return output
