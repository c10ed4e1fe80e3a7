"""Runs a command-line program, sets its exit code, and prints an error as one line on stderr.

Exit codes: 0 success; 1 the work or a check failed; 2 the request is wrong.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence

from pipeline.command_line.errors import RequestError, WorkError, one_line

TRACEBACK_VARIABLE = "MOVING_LINES_TRACEBACK"

_SYSTEMS = ("linux", "darwin")
_OTHER_SYSTEM = f"runs on Linux and on macOS, not on {sys.platform}; on Windows, use WSL or a Linux container"

# Packages by the extra of `setup.py` that installs them.
_EXTRAS = {
    "train": ("tensorflow", "keras", "matplotlib", "PIL", "yaml", "tensorboard", "jinja2"),
    "clips": ("av",),
    "jax": ("jax",),
    "export": ("ai_edge_litert", "onnx", "onnxruntime", "tf2onnx"),
    "dask": ("dask", "distributed"),
}


def run(
    program: str, main: Callable[[Sequence[str]], int], leave: Callable[[int], object] = sys.exit
) -> None:
    """Run a program and end the process with its exit code; see the module's docstring.

    An exception is printed as one line. A traceback is printed only for an unexpected exception, and only if
    the environment variable ``MOVING_LINES_TRACEBACK`` is set.

    Args:
        program: module name, printed in front of an error.
        main: takes the command line's arguments and returns the exit code.
        leave: ends the process with an exit code.
    """
    if sys.stderr is None:  # The program was started with it closed.
        # Takes its number, so that no file gets that, into which libraries and other processes write.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # Open until the process ends.
        os.set_inheritable(sys.stderr.fileno(), True)
    # On import, Beam logs warnings about packages that are not needed here.
    logging.basicConfig(level=logging.ERROR)
    leave(_exit_code(program, main) if sys.platform in _SYSTEMS else _fail(program, _OTHER_SYSTEM, 2))


def _exit_code(program: str, main: Callable[[Sequence[str]], int]) -> int:
    try:
        code = main(sys.argv[1:])
        print_flushed("")
        return code
    except RequestError as error:
        return _fail(program, str(error), 2)
    except WorkError as error:
        return _fail(program, str(error), 1)
    except KeyboardInterrupt:
        return _fail(program, "interrupted; what was finished is kept, the same command goes on", 1)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, needs in _EXTRAS.items() if error.name in needs), "")
        return _fail(program, f"the package {error.name} is not installed; {install_command(extra)}", 1)
    except OSError as error:
        return _fail(program, one_line(error), 1)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        hint = f"{type(error).__name__}: {one_line(error)[:300]} (a traceback: {TRACEBACK_VARIABLE}=1)"
        return _fail(program, hint, 1)


def install_command(extra: str) -> str:
    """The command that installs this project with an extra; with none if ``extra`` is empty."""
    wanted = f"[{extra}]" if extra else ""
    return f"pip install 'moving-lines{wanted}', or '.{wanted}' in its sources"


def print_flushed(text: str) -> None:
    """Print text without a newline and flush stdout.

    Raises:
        WorkError: if stdout cannot be written: a closed pipe, or a full disk.
    """
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # Python flushes stdout again at exit, which would fail again and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise WorkError(f"stdout takes no more lines ({one_line(error)})") from error


def _fail(program: str, message: str, code: int) -> int:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return code
