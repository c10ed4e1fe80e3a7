"""Jobs to measure: each is a program in a fresh process, so that its start-up counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.command_line.errors import WorkError

HAS_AFFINITY = hasattr(os, "sched_setaffinity")


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and every job that it starts inside the block, on one core (Linux)."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def command(module: str, *arguments: object) -> list[str]:
    """``python -m module arguments`` with this process' interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def call(module: str, function: str, **arguments: Any) -> list[str]:
    """A job that calls a function; arguments and what it gives are values of JSON, or paths."""
    return command("benchmarks.job", module, function, json.dumps(arguments, default=str))


def result_of(module: str, function: str, **arguments: Any) -> Any:
    """What a function gives that is called in a fresh process; see `call`.

    Raises:
        WorkError: if it fails.
    """
    # Keras may print before.
    return json.loads(output_of(call(module, function, **arguments)).splitlines()[-1])


def seconds_of(job: list[str], python_path: Path | None = None, exit_code: int = 0) -> float:
    """Wall-clock seconds from a job's start to its end; see `timed_output_of`."""
    return timed_output_of(job, python_path, exit_code)[0]


def output_of(job: list[str]) -> str:
    """What a job prints.

    Raises:
        WorkError: if it fails.
    """
    return timed_output_of(job)[1]


def timed_output_of(job: list[str], python_path: Path | None = None, exit_code: int = 0) -> tuple[float, str]:
    """Wall-clock seconds from a job's start to its end, and what it prints.

    Args:
        job: a command.
        python_path: a folder for its PYTHONPATH.
        exit_code: with which it is to end.

    Raises:
        WorkError: if it fails.
    """
    os.sync()  # What the job before has yet to bring to the disk must not slow this one.
    start = time.monotonic()
    environment = {**os.environ, **({"PYTHONPATH": str(python_path.resolve())} if python_path else {})}
    ended = subprocess.run(job, capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - start
    if ended.returncode != exit_code:
        raise failure(job, ended.stderr)
    return seconds, ended.stdout


def data_set(directory: Path, encoding: str, num_sequences: int, image_size: int = 50) -> Path:
    """The directory of a data set, which `pipeline.generate` makes or finds whole."""
    data = directory / (f"{encoding}-{num_sequences}" + (f"-of-{image_size}" if image_size != 50 else ""))
    splits = ("--num_train", num_sequences, "--num_validation", 1, "--num_test", 1)
    settings = ("--encoding", encoding, "--image_size", image_size)
    seconds_of(command("pipeline.generate", "--output_dir", data, *settings, *splits))
    return data


def failure(job: list[str], errors: str) -> WorkError:
    """What to raise for a job that failed: its last line of errors says why."""
    return WorkError(f"{' '.join(job)}: {(errors.strip() or 'failed').splitlines()[-1]}")
