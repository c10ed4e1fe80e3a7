"""The machine that figures were measured on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from pipeline.workers.cores import usable_cores


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
