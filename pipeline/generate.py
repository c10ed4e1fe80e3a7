"""Program: generate a data set with Beam."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text
from pipeline.command_line.errors import WORKER_DIED, RequestError, WorkError, one_line
from pipeline.command_line.program import run
from pipeline.command_line.progress import Progress
from pipeline.command_line.setting_flags import (
    add_dataset_flag,
    add_setting_flags,
    kind_of,
    make_definition,
    settings_given,
)
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.definition import Definition
from pipeline.generation.definition_checks import check_kind, check_records, check_settings
from pipeline.generation.estimate import DiskSpace, describe, describe_estimate
from pipeline.generation.work_folder import WorkFolder
from pipeline.verification.repair import rebuild_lost
from pipeline.workers.kept_workers import keep_workers
from pipeline.workers.local_run import PROCESSES, is_local_runner, local_mode, num_local_workers

PROGRAM = "pipeline.generate"
_SECONDS_BETWEEN_LISTINGS = 0.5
# Pause 9 times the last listing's duration, so that listing takes at most 10 % of the time.
_PAUSE_PER_LISTING = 9
_TRACEBACK = "Traceback (most recent call last):"
# A traceback's last line: the exception's name, with its module, and what it tells.
_NAMED = re.compile(r"[^\W\d][\w.]*(: |:?$)")
# Beam's note, in an argument that may have been quoted since.
_STEP = re.compile(r" \[while running \\?'.*?\\?'\]")


def generate(
    definition: Definition,
    output_dir: str,
    *,
    runner: str | None = None,
    direct_num_workers: int | None = None,
    direct_running_mode: str | None = None,
    beam_flags: Sequence[str] = (),
    overwrite: bool = False,
) -> tuple[Manifest, bool]:
    """Make a data set. Continue where an earlier run of the same request stopped.

    Args:
        definition: definition of the data set.
        output_dir: directory of the data set: any path that Beam's ``FileSystems`` supports.
        runner, direct_num_workers, direct_running_mode, beam_flags: see
            `pipeline.generation.runners.choose_runner`.
        overwrite: replace a data set of other settings, which is kept until the new one is complete.

    Returns:
        The manifest, and whether anything was made: False if the data set was complete already.

    Raises:
        RequestError: if the request is wrong; nothing on disk has changed then.
        WorkError: if the job failed, or another process works in the directory; finished shards are kept.
    """
    check_kind(type(definition))
    check_settings(definition)
    definition = definition.listed(output_dir)
    check_records(definition)
    workers = direct_num_workers, direct_running_mode
    is_made = not overwrite and os.path.exists(os.path.join(output_dir, MANIFEST_NAME))
    by_process = is_local_runner(runner) and local_mode(*workers) == PROCESSES
    with keep_workers(num_local_workers(*workers) if by_process and not is_made else 0):
        return _generate(definition, output_dir, runner, *workers, beam_flags, overwrite)


def _generate(
    definition: Definition,
    output_dir: str,
    runner: str | None,
    num_workers: int | None,
    running_mode: str | None,
    beam_flags: Sequence[str],
    overwrite: bool,
) -> tuple[Manifest, bool]:
    # Imported here, because importing Beam takes seconds, and help and errors of flags do not need it.
    import apache_beam as beam

    from pipeline.generation.beam_job import build_job
    from pipeline.generation.output_directory import choose_target, claim, lock_output_directory, publish
    from pipeline.generation.runners import choose_runner

    chosen, options = choose_runner(runner, num_workers, running_mode, beam_flags)

    def run_job(build: Callable[[Any], Any], count: Callable[[], int], number: int, unit: str) -> None:
        try:
            pipeline = beam.Pipeline(runner=chosen, options=options)
        except ValueError as error:
            raise RequestError(f"Beam: {one_line(error)}") from error
        build(pipeline)
        _run(pipeline, count, number, unit)

    with lock_output_directory(output_dir):
        target = choose_target(output_dir, definition, overwrite)
        if (abandoned := target.abandoned_replacement()) is not None:
            print(
                f"{abandoned}: an unfinished run with --overwrite left it; remove it if it is given up",
                file=sys.stderr,
            )
        if target.finished is not None:
            places = {name: getattr(definition, name) for name in definition.places}
            made = rebuild_lost(target.directory, target.finished, PROGRAM, places)
            return publish(target), made or target.directory != target.output_dir
        definition, sources = definition.prepare(target.directory, run_job)
        check_records(definition)
        DiskSpace.of(definition, target.directory).check(output_dir)
        try:
            pipeline = build_job(definition, target.directory, chosen, options)
        except ValueError as error:
            raise RequestError(f"Beam: {one_line(error)}") from error
        claim(target, definition, sources)
        work_folder, shards = WorkFolder(target.directory), definition.shards()
        number = sum(shard.num_sequences for shard in shards)
        _run(pipeline, lambda: work_folder.finished_sequences(shards), number, "sequences")
        return publish(target), True


def dry_run_report(
    definition: Definition, output_dir: str, num_workers: int | None, overwrite: bool = False
) -> list[str]:
    """Describe what `generate` would make and take, as lines of text. Nothing is written.

    Args:
        definition, output_dir, overwrite: as for `generate`.
        num_workers: number of local worker processes; None for workers elsewhere.

    Raises:
        RequestError: if the request is wrong, or does not fit on the disk.
    """
    from pipeline.generation.output_directory import choose_target

    check_kind(type(definition))
    check_settings(definition)
    definition = definition.listed(output_dir)
    check_records(definition)
    target = choose_target(output_dir, definition, overwrite)
    if target.finished is not None:
        return ["  it is already there: nothing to do, but for shards that were lost"]
    if (estimate := definition.estimate_sources()) is not None:
        space = DiskSpace.of_estimate(estimate, target.directory)
        space.check(output_dir)
        return describe_estimate(estimate, space, num_workers)
    space = DiskSpace.of(definition, target.directory)
    space.check(output_dir)
    return describe(definition, space, num_workers)


def _run(pipeline: Any, count_done: Callable[[], int], total: int, unit: str) -> None:
    """Run the job to its end and show its progress."""
    try:
        with Progress(PROGRAM, total, unit, done=count_done()) as progress:
            with _call_repeatedly(lambda: progress.set(count_done())):
                _wait_for(pipeline.run())
            progress.set(total)
    except (Exception, SystemExit) as error:  # A runner may raise any exception, as may a kind.
        raise WorkError(f"{_cause(error)}; the same command goes on where it stopped") from error


def _wait_for(job: Any) -> None:
    """Wait for the end of a started job. After Ctrl-C, cancel it: it may run on other machines."""
    try:
        job.wait_until_finish()
    except KeyboardInterrupt:
        with suppress(Exception):
            job.cancel()
        raise


@contextmanager
def _call_repeatedly(function: Callable[[], None]) -> Iterator[None]:
    """Call ``function`` repeatedly in a thread for the duration of the block."""
    stop = threading.Event()

    def loop() -> None:
        pause = _SECONDS_BETWEEN_LISTINGS
        while not stop.wait(pause):
            start = time.monotonic()
            with suppress(Exception):  # A listing of a busy object store may fail; the next one may not.
                function()
            pause = max(_SECONDS_BETWEEN_LISTINGS, _PAUSE_PER_LISTING * (time.monotonic() - start))

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _cause(error: BaseException) -> str:
    """The line with the cause of a job's failure. A worker's error arrives as the text of its traceback."""
    while error.__cause__ is not None:
        error = error.__cause__
    cause = _told(f"{type(error).__name__}: {error}").removeprefix("RuntimeError: ")
    if "Channel closed prematurely" in cause or WORKER_DIED in cause:
        return WORKER_DIED
    if "No module named 'pipeline" in cause:
        return "the engine's workers, or its scheduler, lack this project: install it there, or stage it"
    return cause


def _told(text: str) -> str:
    """What the last exception in a text tells, as one line without Beam's note of the step that failed."""
    _, header, after = text.rpartition(_TRACEBACK)
    lines = after.splitlines()
    first = 0
    if header:  # Lines of the traceback itself are indented, or blank.
        first = next((place for place, line in enumerate(lines) if _NAMED.match(line)), len(lines))
    # Beam writes its note behind the exception's first argument. What comes after it is the runner's.
    last = next((place for place in range(first, len(lines)) if _STEP.search(lines[place])), None)
    if last is not None:
        told = lines[first : last + 1]
    elif header and first < len(lines):
        told = lines[first : first + 1]
    else:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = [line for line in lines if line.split(":")[0].endswith(("Error", "Exception"))] or lines
        told = told[-1:]
    return " ".join(_STEP.sub("", "\n".join(told)).split())


def summary(manifest: Manifest, output_dir: str, seconds: float | None) -> str:
    """Counts, bytes, rate and fingerprint, as lines of text.

    Args:
        manifest: manifest of the data set.
        output_dir: directory of the data set, as the user gave it.
        seconds: time that making it took; None if nothing was made.
    """
    lines = [f"data set of {_title(manifest.definition)} in {output_dir}"]
    for name, split in manifest.splits.items():
        lines.append(
            f"  {name:<10} {split.num_sequences:>13,} sequences  {len(split.shards):>6,} shards"
            f"  {split.num_bytes:>16,} bytes"
        )
    total = sum(split.num_sequences for split in manifest.splits.values())
    size = sum(split.num_bytes for split in manifest.splits.values())
    made = (
        f"made in {seconds:,.1f} s, {total / seconds:,.0f} sequences/s"
        if seconds
        else "already complete: nothing to do"
    )
    lines.append(f"  {'total':<10} {total:>13,} sequences  {size / total:,.1f} bytes a sequence, {made}")
    lines += manifest.definition.summary_lines(manifest.sources)
    lines.append(f"  fingerprint {manifest.fingerprint}")
    return "\n".join(lines)


def _title(definition: Definition) -> str:
    return definition.title or definition.name


def _parser(kind: type[Definition]) -> ArgumentParser:
    parser = ArgumentParser(
        PROGRAM,
        "Generate a data set with Apache Beam, of moving lines or of another kind. Every other flag goes to"
        " Beam: its runners' options. The same command again resumes, or says that all is there.",
        f"python -m {PROGRAM} --output_dir /tmp/lines --num_train 200000 --encoding path",
    )
    add = parser.add_argument
    add("--output_dir", required=True, type=path_text, help="directory to fill; a local path, gs://, ...")
    add_dataset_flag(parser)
    add("--overwrite", action="store_true", help="replace a data set of other settings")
    add("--dry_run", action="store_true", help="say what it would take, and whether it fits; write nothing")
    add("--runner", help="Beam runner (default: local, on every core; downloads nothing)")
    add("--direct_num_workers", type=non_negative_int, help="local workers (default: 0, every core)")
    add(
        "--direct_running_mode",
        choices=("in_memory", "multi_threading", "multi_processing"),
        help="how local workers run (default: multi_processing for more than one)",
    )
    add_setting_flags(parser.add_argument_group(f"settings of {kind.name}"), kind)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments, generate, print the summary; returns the exit code."""
    start = time.monotonic()
    kind = kind_of(arguments)
    parser = _parser(kind)
    flags, beam_flags = parser.parse_known_args(arguments)
    parser.check_unknown_flags(beam_flags)
    definition = make_definition(kind, settings_given(flags, kind))
    # `run` reports an error in one line; without this, Beam would log its traceback several times before.
    for name in ("apache_beam", "root"):  # The root logger, because runners on other machines use it.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if flags.dry_run:
        from pipeline.generation.runners import choose_runner

        workers = flags.direct_num_workers, flags.direct_running_mode
        choose_runner(flags.runner, *workers, beam_flags)
        num_workers = num_local_workers(*workers) if is_local_runner(flags.runner) else None
        lines = dry_run_report(definition, flags.output_dir, num_workers, flags.overwrite)
        print("\n".join([f"data set of {_title(definition)} in {flags.output_dir}, not made yet", *lines]))
        return 0
    manifest, made = generate(
        definition,
        flags.output_dir,
        runner=flags.runner,
        direct_num_workers=flags.direct_num_workers,
        direct_running_mode=flags.direct_running_mode,
        beam_flags=beam_flags,
        overwrite=flags.overwrite,
    )
    print(summary(manifest, flags.output_dir, time.monotonic() - start if made else None))
    return 0


if __name__ == "__main__":
    # The main thread raises the errors of Beam's threads, too: do not print their tracebacks.
    threading.excepthook = lambda _: None
    # Handle SIGTERM as Ctrl-C: cancel a job on other machines, and stop the processes that Beam started here.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(PROGRAM, main)
