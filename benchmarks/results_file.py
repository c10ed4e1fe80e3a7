"""The file of a benchmark's results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from benchmarks.machine import machine


def write_results(path: Path, modules: Sequence[str], figures: dict[str, Any]) -> None:
    """Write figures beside the machine and the versions of the modules that they were measured with."""
    # By the module's name, for a module may come in several distributions, as TensorFlow does.
    distributions = packages_distributions()
    versions = {module: version(distributions[module][0]) for module in modules}
    document = {"machine": machine(), "versions": versions, **figures}
    path.write_text(json.dumps(document, indent=1) + "\n")
