"""The argument parser of all programs, and types of flags."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import NoReturn

from pipeline.command_line.errors import RequestError


class ArgumentParser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` with defaults in the help text, no abbreviated flags, and one-line errors.

    Args:
        program: module name, as in ``pipeline.generate``.
        description: shown at the top of the help text.
        example: a command line, shown at the end of the help text.
    """

    def __init__(self, program: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"python -m {program}",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )

    def check_unknown_flags(self, flags: Sequence[str]) -> None:
        """Check unknown arguments before they are passed on to Beam.

        Args:
            flags: the arguments that `parse_known_args` did not recognise.

        Raises:
            RequestError: for a value without a flag, and for a flag spelled almost like one of this parser.
        """
        own = [flag for action in self._actions for flag in action.option_strings]
        for before, flag in zip(["", *flags], flags, strict=False):
            if flag.startswith("-"):
                if close := difflib.get_close_matches(flag.partition("=")[0], own, n=1, cutoff=0.85):
                    self.error(f"unknown flag {flag}; did you mean {close[0]}?")
            elif not before.startswith("-") or "=" in before:
                self.error(f"unexpected argument {flag!r}")

    def error(self, message: str) -> NoReturn:
        """Raise RequestError, where argparse would print the message and exit."""
        raise RequestError(f"{message}; see {self.prog} --help")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.required or action.const is True:
            return action.help
        return super()._get_help_string(action)


def positive_int(text: str) -> int:
    """Argparse type: an integer from 1 to 2**40."""
    return _bounded_int(text, 1, 2**40)


def non_negative_int(text: str) -> int:
    """Argparse type: an integer from 0 to 2**63 - 1."""
    return _bounded_int(text, 0, 2**63 - 1)


def path_text(text: str) -> str:
    """Argparse type: a path that is not empty. An empty one usually comes from an unset shell variable."""
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
