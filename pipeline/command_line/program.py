"""Runs a command-line program: its exit codes, and one line on stderr where it fails.

Exit codes: 0 done; 1 the work failed or a check did not hold; 2 the request was wrong.
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

# What `setup.py` installs with an extra only.
_EXTRAS = {
    "train": ("tensorflow", "keras", "matplotlib", "PIL", "yaml", "tensorboard", "jinja2"),
    "jax": ("jax",),
    "export": ("ai_edge_litert", "onnx", "onnxruntime", "tf2onnx"),
    "dask": ("dask", "distributed"),
}


def run(
    program: str, main: Callable[[Sequence[str]], int], leave: Callable[[int], object] = sys.exit
) -> None:
    """Run ``main(arguments)`` and leave as the module's docstring says, without a traceback."""
    # Beam warns on import of packages that it does not need here; what matters reaches the user as an error.
    logging.basicConfig(level=logging.ERROR)
    leave(_exit_code(program, main) if sys.platform in _SYSTEMS else _fail(program, _OTHER_SYSTEM, 2))


def _exit_code(program: str, main: Callable[[Sequence[str]], int]) -> int:
    try:
        code = main(sys.argv[1:])
        print_at_once("")
        return code
    except RequestError as error:
        return _fail(program, str(error), 2)
    except WorkError as error:
        return _fail(program, str(error), 1)
    except KeyboardInterrupt:
        return _fail(program, "interrupted; what was finished is kept, the same command goes on", 1)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, needs in _EXTRAS.items() if error.name in needs), "")
        return _fail(program, f"the package {error.name} is not installed; {installing(extra)}", 1)
    except OSError as error:
        return _fail(program, one_line(error), 1)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        hint = f"{type(error).__name__}: {one_line(error)[:300]} (a traceback: {TRACEBACK_VARIABLE}=1)"
        return _fail(program, hint, 1)


def installing(extra: str) -> str:
    """The command that installs this project with an extra, or with none if it is empty."""
    wanted = f"[{extra}]" if extra else ""
    return f"pip install 'moving-lines{wanted}', or '.{wanted}' in its sources"


def print_at_once(text: str) -> None:
    """Print text as it is and bring it, and what was printed before, to where it goes.

    Raises:
        WorkError: if stdout takes no more: a pipe whose reader has gone, or a full disk.
    """
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # Python would try once more at exit, and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise WorkError(f"stdout takes no more lines ({one_line(error)})") from error


def _fail(program: str, message: str, code: int) -> int:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return code
