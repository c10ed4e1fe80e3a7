"""What every command-line program shares: its errors, exit codes and argument parser.

Exit codes: 0 done; 1 the work failed or a check did not hold; 2 the request was wrong.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

TRACEBACK_VARIABLE = "MOVING_LINES_TRACEBACK"
WORKER_DIED = "a worker process died (killed, or out of memory)"

_SYSTEMS = ("linux", "darwin")
_OTHER_SYSTEM = f"runs on Linux and on macOS, not on {sys.platform}; on Windows, use WSL or a Linux container"

# What `setup.py` installs with an extra only.
_EXTRAS = {
    "train": ("tensorflow", "keras", "matplotlib", "PIL", "yaml", "tensorboard"),
    "jax": ("jax",),
    "export": ("ai_edge_litert", "onnx", "onnxruntime", "tf2onnx"),
    "dask": ("dask", "distributed"),
}


class RequestError(ValueError):
    """The request was wrong. The message is one line: what, where, what to do. Exit code 2."""


class WorkError(RuntimeError):
    """The request was right but the work failed. The message is one line. Exit code 1."""


class ArgumentParser(argparse.ArgumentParser):
    """argparse with defaults in the help, no abbreviated flags and one-line errors."""

    def __init__(self, program: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"python -m {program}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )

    def check_passed_on(self, flags: Sequence[str]) -> None:
        """Refuse what is left over after `parse_known_args` but cannot be meant for somebody else.

        Raises:
            RequestError: for values without a flag and for flags that are nearly one of ours.
        """
        own = [flag for action in self._actions for flag in action.option_strings]
        for before, flag in zip(["", *flags], flags, strict=False):
            if flag.startswith("-"):
                if close := difflib.get_close_matches(flag.partition("=")[0], own, n=1, cutoff=0.85):
                    self.error(f"unknown flag {flag}; did you mean {close[0]}?")
            elif not before.startswith("-") or "=" in before:
                self.error(f"unexpected argument {flag!r}")

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print and exit for."""
        raise RequestError(f"{message}; see {self.prog} --help")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.required or action.const is True:
            return action.help
        return super()._get_help_string(action)


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


def one_line(error: BaseException) -> str:
    """An error as one line: what the system says and, for OSError, of which file."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _fail(program: str, message: str, code: int) -> int:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def positive_int(text: str) -> int:
    """Argparse type: a whole number from 1 to 2**40."""
    return _bounded_int(text, 1, 2**40)


def non_negative_int(text: str) -> int:
    """Argparse type: a whole number from 0 to 2**63 - 1."""
    return _bounded_int(text, 0, 2**63 - 1)


def path_text(text: str) -> str:
    """Argparse type: a path; an empty one is refused, for it is a shell variable that was never set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a path")
    return text


def _bounded_int(text: str, minimum: int, maximum: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = minimum - 1
    if not minimum <= value <= maximum:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} to {maximum}")
    return value
