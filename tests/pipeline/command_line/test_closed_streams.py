"""A program that is started with a closed stderr, as some schedulers start it, works."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.processes import environment

PROGRAM = """
import subprocess, sys
from pipeline.command_line.program import run
from pipeline.command_line.progress import Progress

def main(arguments):
    with Progress("program", 1) as progress:
        progress.set(1)
    with open(arguments[0], "wb") as file:  # Neither takes the number of stderr, nor is written to by others.
        subprocess.run([sys.executable, "-c", "import os; os.write(2, b'told')"], check=True)
        file.write(b"mine")
    return 0

run("program", main)
"""


def test_a_closed_stderr_is_as_one_that_nobody_reads(tmp_path: Path) -> None:
    closing = ["sh", "-c", 'exec "$@" 2>&-', "sh"]
    done = subprocess.run(
        [*closing, sys.executable, "-c", PROGRAM, str(tmp_path / "file")],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "file").read_bytes() == b"mine"
