"""The line that tells why a job failed, whatever was raised, and in whichever process."""

import os
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest

from pipeline.command_line.errors import WorkError
from pipeline.generate import _run
from pipeline.generation.runners import choose_runner
from pipeline.workers.kept_workers import keep_workers

_NOTHING: dict[str, int] = {}


class Odd(Exception):  # noqa: N818  # That its name does not end so is what is tested.
    """An exception of one's own."""


def _of_two() -> None:
    try:
        _NOTHING["a"]
    except KeyError as error:
        raise Odd("the other") from error


def _raise(error: BaseException) -> None:
    raise error


# What fails, and what is told of it, without the module of the exception.
CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "module": (lambda: struct.unpack("<I", b"12"), "error: unpack requires a buffer of 4 bytes"),
    "zip": (lambda: _raise(zipfile.BadZipFile("no zip file")), "BadZipFile: no zip file"),
    "own": (lambda: _raise(Odd("mine: yes")), "Odd: mine: yes"),
    "lines": (lambda: _raise(Odd("one: a\n  two: b\n\nthree")), "Odd: one: a two: b three"),
    "empty": (lambda: _raise(Odd()), "Odd"),
    "exit": (lambda: sys.exit("no more"), "SystemExit: no more"),
    "exit code": (lambda: sys.exit(3), "SystemExit: 3"),
    "key": (lambda: _NOTHING["speed"], "KeyError: 'speed'"),
    "keys": (lambda: _raise(KeyError("speed", 3)), "KeyError: ('speed', 3)"),
    "quotes": (lambda: _raise(KeyError('"', 3)), "KeyError: ('\"', 3)"),
    "unicode": (
        lambda: b"\xff".decode(),
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "file": (
        lambda: os.stat("/no/such"),
        "FileNotFoundError: [Errno 2] No such file or directory: '/no/such'",
    ),
    "two": (_of_two, "Odd: the other"),
}


def fail(name: str) -> None:
    """A step that fails."""
    CASES[name][0]()


@pytest.fixture(scope="module", autouse=True)
def kept() -> Iterator[None]:
    """Processes for all jobs."""
    with keep_workers(2):
        yield


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_what_a_step_raised_is_told_in_its_words(name: str, num_workers: int) -> None:
    runner, options = choose_runner(None, num_workers, None, [])
    pipeline = beam.Pipeline(runner=runner, options=options)
    _ = pipeline | beam.Create([name]) | "Fail here" >> beam.Map(fail)
    with pytest.raises(WorkError) as caught:
        _run(pipeline, lambda: 0, 1, "steps")
    told = str(caught.value).removesuffix("; the same command goes on where it stopped")
    for module in (f"{__name__}.", "struct.", "zipfile."):  # Another process tells it, too.
        told = told.removeprefix(module)
    assert told.replace('"speed"', "'speed'") == CASES[name][1]
