"""The memory of a process and of all that it started, as Linux counts it.

Proportional set size where the kernel tells it: a page that several processes share counts once. Elsewhere
resident set size, which counts it for every process. Neither holds the page cache of files that are read.
Other programs that run from the same libraries take a share of their pages: measure on a quiet machine.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.jobs import failure

_PROCESSES = Path("/proc")
_SECONDS_BETWEEN_SAMPLES = 0.05

HAS_PROC = Path("/proc/self/statm").exists()
MEASURE = "PSS" if Path("/proc/self/smaps_rollup").exists() else "RSS"


def peak_memory(job: list[str]) -> int:
    """Run a job; the most bytes that its processes had together in any sample.

    Raises:
        WorkError: if it fails.
    """
    peak = 0
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(job, stdout=subprocess.DEVNULL, stderr=errors) as process:
            while process.poll() is None:
                peak = max(peak, sum(map(_bytes_of, _tree(process.pid))))
                time.sleep(_SECONDS_BETWEEN_SAMPLES)
        if process.returncode:
            errors.seek(0)
            raise failure(job, errors.read())
    return peak


def own_peak() -> int:
    """The most bytes that this process has had resident so far, shared pages of libraries included."""
    # Not getrusage: a process starts there with what the one that started it had.
    lines = (_PROCESSES / "self" / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _tree(root: int) -> Iterator[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for directory in _PROCESSES.iterdir():
        if directory.name.isdecimal():
            try:
                # The name stands in brackets and may hold anything; state and parent follow it.
                parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # It has ended.
                continue
            children.setdefault(parent, []).append(int(directory.name))
    found = [root]
    for process in found:
        yield process
        found += children.get(process, [])


def _bytes_of(process: int) -> int:
    directory = _PROCESSES / str(process)
    try:
        if MEASURE == "RSS":
            return int((directory / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        lines = (directory / "smaps_rollup").read_text().splitlines()
    except OSError:  # It has ended, or is about to.
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
