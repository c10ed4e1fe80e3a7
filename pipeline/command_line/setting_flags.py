"""The flag ``--dataset``, and a flag for every setting of the kind of data set that it names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pipeline.command_line.errors import RequestError, one_line
from pipeline.definition import KINDS, Definition, find_kind, reference_to

_DEFAULT_KIND = "moving_line"


def add_dataset_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag ``--dataset``. `kind_of` reads its value before the flags of the settings are added."""
    parser.add_argument(
        "--dataset",
        default=_DEFAULT_KIND,
        help=f"kind of data set: {', '.join(KINDS)}, or MODULE:NAME of your own; it decides the settings",
    )


def kind_of(arguments: Sequence[str]) -> type[Definition]:
    """The kind of data set that the command line names with ``--dataset``.

    Raises:
        RequestError: if there is no such kind, or ``--dataset`` has no value.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_dataset_flag(parser)
    try:
        dataset = parser.parse_known_args(arguments)[0].dataset
    except argparse.ArgumentError as error:
        raise RequestError(str(error)) from error
    return find_kind(dataset)


def add_setting_flags(parser: Any, kind: type[Definition], *, of_examples: bool = False) -> None:
    """Add a flag for every setting of a kind. A flag that is not given sets no attribute when parsed.

    Args:
        parser: an argument parser, or an argument group.
        kind: the kind of data set.
        of_examples: leave out the settings that decide only the number of examples and of shards, and
            settings with the name of an existing flag.

    Raises:
        RequestError: if a flag with the name of a setting exists already and ``of_examples`` is False.
    """
    hints = get_type_hints(kind)
    for each in fields(kind):  # type: ignore[arg-type]  # Kinds are dataclasses.
        if each.name in kind.derived:
            continue
        if of_examples and each.name in (*kind.counts(), "sequences_per_shard"):
            continue
        hint, choices = hints[each.name], each.metadata.get("choices")
        if get_origin(hint) is not Literal:
            hint = next((part for part in getattr(hint, "__args__", ()) if part is not type(None)), hint)
        if get_origin(hint) is Literal:
            choices = choices or get_args(hint)
            hint = type(choices[0])
        flag: dict[str, Any] = {"type": each.metadata.get("type") or hint}
        if hint is bool:
            flag = {"action": argparse.BooleanOptionalAction}
        elif choices:
            flag["choices"] = choices
        text = each.metadata.get("help", "a setting of the data set")
        if each.default is not None and each.default is not MISSING:
            text += f" (default: {each.default})"
        try:
            # argparse formats the text.
            text = text.replace("%", "%%")
            parser.add_argument(f"--{each.name}", **flag, default=argparse.SUPPRESS, help=text)
        except argparse.ArgumentError as error:
            if of_examples:
                continue
            raise RequestError(
                f"setting {each.name} of {kind.__name__}: a flag has this name; give it another"
            ) from error


def settings_given(flags: argparse.Namespace, kind: type[Definition]) -> dict[str, Any]:
    """The settings that are given by flags, by name."""
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # Kinds are dataclasses.
    return {name: getattr(flags, name) for name in names if hasattr(flags, name)}


def make_definition(kind: type[Definition], settings: Mapping[str, Any]) -> Definition:
    """The definition of a kind with these settings, by name; the others have their defaults.

    Raises:
        RequestError: if a setting is wrong, or one without a default is not given.
    """
    for each in fields(kind):  # type: ignore[arg-type]  # Kinds are dataclasses.
        if each.name not in settings and each.default is MISSING and each.default_factory is MISSING:
            raise RequestError(f"--{each.name} has no default: give it")
    try:
        return kind(**settings)
    except RequestError:
        raise
    except (TypeError, ValueError) as error:  # What a kind of one's own says of its settings.
        raise RequestError(f"--dataset {reference_to(kind)}: {one_line(error)}") from error
