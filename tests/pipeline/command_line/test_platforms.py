"""Where the programs do not run, they say so in one line."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.processes import environment

PROGRAMS = [
    *(f"pipeline.{name}" for name in ("generate", "preview", "verify")),
    *(f"trainer.{name}" for name in ("data_server", "evaluate", "export", "predict", "task")),
]

# Python and its libraries are those of this system; what is imported on the other one is the project alone.
ELSEWHERE = """
import importlib, runpy, sys
program = sys.argv.pop(1)
importlib.import_module(program)
for name in list(sys.modules):
    if name.partition(".")[0] in ("pipeline", "model", "trainer"):
        del sys.modules[name]
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
sys.platform = "win32"
runpy.run_module(program, run_name="__main__")
"""


@pytest.mark.parametrize("program", PROGRAMS)
def test_on_other_systems_a_program_says_where_it_runs(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, program, "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr == (
        f"{program}: error: runs on Linux and on macOS, not on win32;"
        " on Windows, use WSL or a Linux container\n"
    )


def test_every_program_is_among_them() -> None:
    found = [
        f"{path.parent.name}.{path.stem}"
        for room in ("pipeline", "trainer")
        for path in sorted((ROOT / room).glob("*.py"))
        if "\n    run(PROGRAM, main" in path.read_text()
    ]
    assert found == PROGRAMS
