"""Makes ``store://`` known to Beam in every process that has this folder on its PYTHONPATH.

Beam takes seconds to import, so it is waited for: its table of file systems brings ours along.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _BesideBeam:
    """Finds one module as Python does, and imports ours after it."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "apache_beam.io.filesystems":
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_both(module: ModuleType) -> None:
            execute(module)
            importlib.import_module("tests.object_store.file_system")

        spec.loader.exec_module = execute_both  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _BesideBeam)
