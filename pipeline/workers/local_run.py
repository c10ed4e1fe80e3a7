"""Whether a run's workers are on this machine, how many they are, and how they run; known without Beam."""

from __future__ import annotations

from pipeline.workers.cores import usable_cores

_LOCAL_NAMES = (
    "direct",
    "directrunner",
    "switchingdirectrunner",
    "bundlebaseddirectrunner",
    "fnapirunner",
    "testdirectrunner",
)

_IN_MEMORY = "in_memory"
PROCESSES = "multi_processing"


def is_local_runner(name: str | None) -> bool:
    """Whether a value of ``--runner`` means workers on this machine; None does."""
    return name is None or name.lower() in _LOCAL_NAMES


def num_local_workers(num_workers: int | None, running_mode: str | None) -> int:
    """Number of workers of a local run; arguments as for `pipeline.generation.runners.choose_runner`.

    If ``num_workers`` is None: 1 for the modes "in_memory" and "multi_threading", else one per usable core.
    """
    if num_workers is None:
        num_workers = 0 if running_mode in (None, PROCESSES) else 1
    return num_workers or usable_cores()


def local_mode(num_workers: int | None, running_mode: str | None) -> str:
    """How local workers run, if ``running_mode`` is None: as processes if there are several."""
    return running_mode or (PROCESSES if num_local_workers(num_workers, running_mode) > 1 else _IN_MEMORY)
