"""The flag ``--dataset``, and a flag for every setting of the kind of data set that it names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from pipeline.command_line.errors import RequestError
from pipeline.definition import KINDS, Definition, find_kind

_DEFAULT_KIND = "moving_line"


def add_dataset_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--dataset``; `kind_of` reads it, before the kind's own flags are known."""
    parser.add_argument(
        "--dataset",
        default=_DEFAULT_KIND,
        help=f"kind of data set: {', '.join(KINDS)}, or MODULE:NAME of your own; it decides the settings",
    )


def kind_of(arguments: Sequence[str]) -> type[Definition]:
    """The kind that the command line names.

    Raises:
        RequestError: if there is no such kind.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_dataset_flag(parser)
    try:
        dataset = parser.parse_known_args(arguments)[0].dataset
    except argparse.ArgumentError as error:
        raise RequestError(str(error)) from error
    return find_kind(dataset)


def add_setting_flags(parser: Any, kind: type[Definition], *, of_examples: bool = False) -> None:
    """Give a parser, or a group of one, a flag for every setting; one that is not given leaves no attribute.

    Args:
        parser: which has flags of its own.
        kind: a kind of data set.
        of_examples: leave out settings that decide only which and how many examples there are, and those
            of which the parser has a flag already.

    Raises:
        RequestError: if the parser has a flag of that name.
    """
    hints = get_type_hints(kind)
    for each in fields(kind):  # type: ignore[arg-type]  # Kinds are dataclasses.
        if of_examples and each.name in (*kind.counts(), "sequences_per_shard"):
            continue
        hint = hints[each.name]
        hint = next((part for part in getattr(hint, "__args__", ()) if part is not type(None)), hint)
        flag: dict[str, Any] = {"type": each.metadata.get("type") or hint}
        if hint is bool:
            flag = {"action": argparse.BooleanOptionalAction}
        elif choices := each.metadata.get("choices"):
            flag["choices"] = choices
        text = each.metadata.get("help", "a setting of the data set")
        if each.default is not None:
            text += f" (default: {each.default})"
        try:
            parser.add_argument(f"--{each.name}", **flag, default=argparse.SUPPRESS, help=text)
        except argparse.ArgumentError as error:
            if of_examples:
                continue
            raise RequestError(
                f"setting {each.name} of {kind.__name__}: a flag has this name; give it another"
            ) from error


def settings_given(flags: argparse.Namespace, kind: type[Definition]) -> dict[str, Any]:
    """The settings that were given by flags, by name."""
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # Kinds are dataclasses.
    return {name: getattr(flags, name) for name in names if hasattr(flags, name)}
