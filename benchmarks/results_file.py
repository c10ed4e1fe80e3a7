"""The files of benchmarks' results, and the machine that they were measured on."""

from __future__ import annotations

import json
import platform
import re
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from pipeline.workers.cores import usable_cores

RESULTS = Path(__file__).parent / "results"

# Processors of one name differ in these, and libraries compute by them: the kernel's name, and ours.
_VECTORS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}

# Modules whose versions stand beside figures, if they are installed.
_MODULES = ("apache_beam", "google_crc32c", "keras", "numpy", "tensorflow", "tensorflow_datasets")


def write_results(path: Path, command: str, figures: dict[str, Any]) -> None:
    """Write figures beside the command that measured them and its machine; the file is whole at any time."""
    # By the module's name, for a module may come in several distributions, as TensorFlow does.
    distributions = packages_distributions()
    versions = {name: version(distributions[name][0]) for name in _MODULES if name in distributions}
    when = {"command": command, "date": _today(), "machine": _machine(), "versions": versions}
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(json.dumps({**when, **figures}, indent=1) + "\n")
    unfinished.replace(path)


def results_path(name: str) -> Path:
    """The file with the newest results of a name; ``bench`` is the comparison.

    Raises:
        KeyError: if there are none.
    """
    pattern = "20[0-9][0-9]-*.json" if name == "bench" else f"{name}-*.json"
    found = sorted(RESULTS.glob(pattern), key=lambda path: (_read(path)["date"], len(path.name), path.name))
    if not found:
        raise KeyError(f"no results {name}")
    return found[-1]


def results(name: str) -> dict[str, Any]:
    """The newest results of a name, as they were written."""
    return _read(results_path(name))


@cache
def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def default_results_path() -> Path:
    """Where the comparison of this day and machine goes; a second one of a day has a number."""
    cpu = _machine()
    name = re.sub("[^a-z0-9]+", "-", f"{_today()}-{cpu['processor']}-{cpu['cores']}-cores".lower()).strip("-")
    path, number = RESULTS / f"{name}.json", 2
    while path.exists():
        path, number = RESULTS / f"{name}-{number}.json", number + 1
    return path


def _today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.now(UTC).date().isoformat()


def _machine() -> dict[str, Any]:
    """What stands beside a benchmark's results: processor, its vectors, cores that can be used, Python."""
    facts = _processor_facts()
    flags = facts.get("flags", "").split()
    return {
        "processor": facts.get("model name") or platform.processor() or platform.machine(),
        "vectors": next((name for flag, name in _VECTORS.items() if flag in flags), ""),
        "cores": usable_cores(),
        "python": platform.python_version(),
    }


def _processor_facts() -> dict[str, str]:
    """What Linux tells of the first core, by name."""
    try:
        core = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in core.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
