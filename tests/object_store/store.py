"""The store of a test, in this process and in those that it starts."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.object_store import objects
from tests.processes import environment

_ROOT = Path(__file__).parent.parent.parent
_SITE = Path(__file__).parent / "site"


@dataclass(frozen=True)
class Store:
    """An object store in a directory, seen from outside.

    Attributes:
        directory: where it keeps its objects.
    """

    directory: Path

    @property
    def variables(self) -> Mapping[str, str]:
        """By these environment variables a process knows ``store://``, and this store."""
        return {
            objects.VARIABLE: str(self.directory),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_SITE)]),
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process and those that it starts know it, for a test."""
        import tests.object_store.file_system  # noqa: F401  # Beam finds it by its scheme.

        for name, value in self.variables.items():
            monkeypatch.setenv(name, value)

    def start(self, module: str, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a program of ours in a process of its own, as a user does."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=_ROOT,
            env=environment(**self.variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, module: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run such a program to its end."""
        with self.start(module, *arguments) as process:
            try:
                output, errors = process.communicate(timeout=240)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def put(self, path: str, content: bytes) -> None:
        """Create an object, or replace it."""
        objects.put(self.directory, path, content)

    def get(self, path: str) -> bytes:
        """An object's bytes."""
        return objects.get(self.directory, path)

    def remove(self, path: str) -> None:
        """Remove an object that is there."""
        objects.remove(self.directory, path)

    def paths(self, prefix: str = objects.PREFIX) -> list[str]:
        """Paths of all objects that start with a prefix, in order."""
        return objects.paths(self.directory, prefix)

    def sizes(self, prefix: str = objects.PREFIX) -> dict[str, int]:
        """Sizes of those objects, in bytes."""
        return objects.sizes(self.directory, prefix)

    def objects(self, prefix: str = objects.PREFIX) -> dict[str, bytes]:
        """The bytes of those objects."""
        return objects.objects(self.directory, prefix)
