"""The file of a benchmark's results, and the machine that they were measured on."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from pipeline.workers.cores import usable_cores

RESULTS = Path(__file__).parent / "results"


def write_results(path: Path, command: str, modules: Sequence[str], figures: dict[str, Any]) -> None:
    """Write figures beside what they were measured with; the file is whole at any time.

    Args:
        path: the file.
        command: what to run to measure them again.
        modules: whose versions matter.
        figures: plain values by name.
    """
    # By the module's name, for a module may come in several distributions, as TensorFlow does.
    distributions = packages_distributions()
    versions = {module: version(distributions[module][0]) for module in modules}
    when = {"command": command, "date": today(), "machine": machine(), "versions": versions}
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(json.dumps({**when, **figures}, indent=1) + "\n")
    unfinished.replace(path)


def default_results_path() -> Path:
    """Where the comparison of this day and machine goes; a second one of a day has a number."""
    cpu = machine()
    name = re.sub("[^a-z0-9]+", "-", f"{today()}-{cpu['processor']}-{cpu['cores']}-cores".lower()).strip("-")
    path, number = RESULTS / f"{name}.json", 2
    while path.exists():
        path, number = RESULTS / f"{name}-{number}.json", number + 1
    return path


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.now(UTC).date().isoformat()


def machine() -> dict[str, Any]:
    """Processor, cores that can be used and version of Python, as they stand beside a benchmark's results."""
    return {"processor": _processor(), "cores": usable_cores(), "python": platform.python_version()}


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
