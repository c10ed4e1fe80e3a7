"""Jobs to measure: each is a program in a fresh process, so that its start-up counts.

As a program, it calls a function that is named by module and name, as `call` asks for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import run

PROGRAM = "benchmarks.jobs"

HAS_AFFINITY = hasattr(os, "sched_setaffinity")


def main(arguments: Sequence[str]) -> int:
    """Call a function and print what it gives as JSON."""
    module, name, keywords, tensorflow = arguments
    if tensorflow:
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
    print(json.dumps(getattr(import_module(module), name)(**json.loads(keywords))))
    return 0


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and every job that it starts inside the block, on one core (Linux)."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def command(module: str, *arguments: object, **flags: object) -> list[str]:
    """``python -m module arguments --flag value`` with this process' interpreter."""
    given = (word for flag, value in flags.items() for word in (f"--{flag}", value))
    return [sys.executable, "-m", module, *map(str, (*arguments, *given))]


def generate(data: Path, num_train: int, *, held_out: int = 1, **flags: object) -> list[str]:
    """A job that makes a data set, or finds it whole, with so many sequences for validation and for tests."""
    splits = {"num_train": num_train, "num_validation": held_out, "num_test": held_out}
    return command("pipeline.generate", output_dir=data, **{**splits, **flags})


def with_tfds(data: Path, encoding: str, num_sequences: int, sequences_per_element: int = 1) -> list[str]:
    """A job that makes a data set with TFDS; see `benchmarks.baselines.tfds_builder`."""
    asked = {"encoding": encoding, "num_sequences": num_sequences, "output_dir": str(data)}
    size = {"sequences_per_element": sequences_per_element}
    return command("benchmarks.baselines.tfds_builder", json.dumps({**asked, **size}))


def with_tfds_video(source: Path, data: Path, encoding: str) -> list[str]:
    """A job that makes a data set of clips with TFDS; see `benchmarks.baselines.tfds_video`."""
    flags = {"source": source, "output_dir": data, "encoding": encoding}
    return command("benchmarks.baselines.tfds_video", **flags)


def call(module: str, function: str, *, tensorflow: bool = False, **arguments: Any) -> list[str]:
    """A job that calls a function of `benchmarks`; arguments and what it gives are values of JSON, or paths.

    If ``tensorflow``, TensorFlow is imported before the module, without its messages.
    """
    keywords = json.dumps(arguments, default=str)
    return command(PROGRAM, f"benchmarks.{module}", function, keywords, "tensorflow" * tensorflow)


def result_of(job: list[str]) -> Any:
    """What a job gives that prints it as JSON, last; see `call` and `timed_output_of`."""
    return json.loads(timed_output_of(job)[1].splitlines()[-1])


def seconds_of(job: list[str], python_path: Path | None = None, exit_code: int = 0) -> float:
    """Wall-clock seconds from a job's start to its end; see `timed_output_of`."""
    return timed_output_of(job, python_path, exit_code)[0]


def timed_output_of(job: list[str], python_path: Path | None = None, exit_code: int = 0) -> tuple[float, str]:
    """Wall-clock seconds from a job's start to its end, and what it prints; it may get a PYTHONPATH.

    Raises:
        WorkError: if it ends with another exit code.
    """
    os.sync()  # What the job before has yet to bring to the disk must not slow this one.
    start = time.monotonic()
    environment = {**os.environ, **({"PYTHONPATH": str(python_path.resolve())} if python_path else {})}
    ended = subprocess.run(job, capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - start
    if ended.returncode != exit_code:
        raise failure(job, ended.stderr)
    return seconds, ended.stdout


def failure(job: list[str], errors: str) -> WorkError:
    """What to raise for a job that failed: its last line of errors says why."""
    return WorkError(f"{' '.join(job)}: {(errors.strip() or 'failed').splitlines()[-1]}")


if __name__ == "__main__":
    run(PROGRAM, main)
