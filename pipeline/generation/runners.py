"""Chooses the Beam runner, so that a local run is the same on every machine.

Beam's own ``DirectRunner`` first tries to download the Prism runner, which ignores the number of workers, and
uses ``FnApiRunner`` only if that fails. Here every local name means ``FnApiRunner``: nothing is downloaded,
and the flags set the parallelism, by default one process per usable core. All other runners, ``PrismRunner``
too, are passed to Beam by name. For Dask, the size of partitions is set so that all workers get work.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import fields

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from pipeline.command_line.errors import RequestError, one_line
from pipeline.definition import KINDS, find_kind
from pipeline.workers.local_run import PROCESSES, is_local_runner, local_mode, num_local_workers
from pipeline.workers.loopback import listen_on_loopback_only
from pipeline.workers.worker_environment import LocalWorkerEnvironment

_DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"  # Beam does not accept a short name for it.
_DASK_NAMES = ("dask", "daskrunner", _DASK_RUNNER.lower())


def choose_runner(
    name: str | None, num_workers: int | None, running_mode: str | None, beam_flags: Sequence[str]
) -> tuple[PipelineRunner, PipelineOptions]:
    """The runner and its options. Servers that Beam starts from now on listen on loopback only.

    Args:
        name: value of ``--runner``; None runs locally.
        num_workers: number of local workers; 0 means one per usable core; for None, see
            `pipeline.workers.local_run.num_local_workers`.
        running_mode: "in_memory", "multi_threading" or "multi_processing"; None means "multi_processing" for
            more than one worker, else "in_memory".
        beam_flags: all other flags, which are passed to Beam.

    Raises:
        RequestError: if there is no such runner, or Beam rejects a flag.
    """
    listen_on_loopback_only()
    if name is None or is_local_runner(name):
        mode = local_mode(num_workers, running_mode)
        # Processes are those of `LocalWorkerEnvironment`, so Beam's own running mode stays the default.
        by_process = mode == PROCESSES
        flags = [f"--direct_num_workers={num_local_workers(num_workers, running_mode)}", *beam_flags]
        if not by_process:
            flags.append(f"--direct_running_mode={mode}")
        options = _parse_options(flags)
        unknown = set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options())
        if unknown:
            flag = min(unknown)
            kinds = "".join(f"; --dataset {name} has it" for name in _kinds_with(flag))
            raise RequestError(f"unknown flag --{flag}: neither this program nor Beam knows it{kinds}")
        return FnApiRunner(default_environment=LocalWorkerEnvironment() if by_process else None), options
    if name.lower() in _DASK_NAMES:
        name, beam_flags = _DASK_RUNNER, _for_dask(name, beam_flags)
    try:
        runner = create_runner(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RequestError(f"--runner {name}: {one_line(error)}") from error
    flags = [f"--runner={name}", *beam_flags]
    if num_workers is not None:
        flags.append(f"--direct_num_workers={num_workers}")
    if running_mode is not None:
        flags.append(f"--direct_running_mode={running_mode}")
    return runner, _parse_options(flags)


def _kinds_with(name: str) -> list[str]:
    """The built-in kinds of data set with a setting of this name."""
    found = []
    for dataset in KINDS:
        with contextlib.suppress(RequestError):  # What it needs may not be installed.
            kind = find_kind(dataset)
            names = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # Kinds are dataclasses.
            found += [dataset] if name in names - {*kind.derived} else []
    return found


def _for_dask(name: str, beam_flags: Sequence[str]) -> list[str]:
    if importlib.util.find_spec("distributed") is None:
        raise RequestError(f"--runner {name}: Dask is not installed; pip install 'moving-lines[dask]'")
    if any("partition" in flag for flag in beam_flags):
        return list(beam_flags)
    # One worker processes a partition, and by default Beam puts up to 128 elements in one.
    return [*beam_flags, "--dask_partition_size=1"]


def _parse_options(flags: list[str]) -> PipelineOptions:
    """Beam's options of ``flags``; an error that argparse prints before it exits becomes a RequestError."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            options = PipelineOptions(flags)
            options.get_all_options()
    except SystemExit as error:
        complaint = printed.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise RequestError(f"Beam: {complaint}") from error
    return options
