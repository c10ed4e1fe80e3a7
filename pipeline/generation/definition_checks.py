"""Checks of a definition before any work: manifest, file names and other processes must keep it."""

from __future__ import annotations

import json
from typing import Any

from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.features import ClassLabel, Feature, feature_from_json
from pipeline.dataset.shard_plan import is_split_name
from pipeline.definition import Definition, find_kind, reference_to


def check_settings(definition: Definition) -> None:
    """Check that a manifest can keep the settings, which is written when all work is done.

    Raises:
        RequestError: if a setting is no JSON value, or not of the type that its field declares.
    """
    settings = definition.to_json()
    try:
        for name, value in settings.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise TypeError(f"{name} is {value!r}") from error
        again = type(definition).from_json(json.loads(json.dumps(settings)))
        if again.to_json() != settings:
            raise TypeError("read again, they are others")
    except TypeError as error:
        raise RequestError(
            f"--dataset {reference_to(type(definition))}: settings that cannot be kept ({one_line(error)});"
            " each must be an int, float, str, bool or None, of the type that its field declares"
        ) from error


def check_kind(kind: type[Definition]) -> None:
    """Check that workers, and programs that read the data set, will find a kind by its reference.

    Raises:
        RequestError: if it is defined in the script that runs, or inside a function or class.
    """
    reference = reference_to(kind)
    # Of other processes, `__main__` is another module.
    if kind.__module__ == "__main__" or "." in kind.__qualname__ or find_kind(reference) is not kind:
        raise RequestError(
            f"--dataset {reference}: other processes cannot import it from there;"
            " define it at the top of a module of its own, and import that"
        )


def check_records(definition: Definition) -> None:
    """Check that manifest and file names can keep the features and the splits; as `check_settings`.

    Called after `Definition.listed`.

    Raises:
        RequestError: if they cannot; the message names the feature or the split.
    """
    where = f"--dataset {reference_to(type(definition))}"
    try:
        features = dict(definition.features)
    except (TypeError, ValueError) as error:
        raise RequestError(f"{where}: its features cannot be made ({one_line(error)})") from error
    for name, feature in features.items():
        if reason := _why_not_kept(name, feature):
            raise RequestError(f"{where}: feature {name} cannot be kept: {reason}")
    for split, count in definition.num_sequences.items():
        if not is_split_name(split):
            raise RequestError(
                f"{where}: split {split!r}: file names contain it, so give letters, digits, _ and - only"
            )
        if type(count) is not int:  # NumPy's numbers are none in JSON, and True is none to anybody.
            raise RequestError(f"{where}: split {split} has {count!r} examples: give an int")


def _why_not_kept(name: Any, feature: Feature) -> str:
    """Why a manifest cannot keep a feature; empty if it can."""
    if not isinstance(name, str):
        return "its name must be a str"
    if isinstance(feature, ClassLabel):
        if wrong := [each for each in feature.names if not isinstance(each, str)]:
            return f"the name of a class must be a str, not {wrong[0]!r}"
        if len(set(feature.names)) < len(feature.names):
            return f"two classes are called {max(feature.names, key=list(feature.names).count)}"
        if "/" in name:
            return "a file of its classes has its name, so leave out the /"
    try:
        document = feature.to_json()
        again = feature_from_json(json.loads(json.dumps(document, allow_nan=False))).to_json()
    except (LookupError, TypeError, ValueError) as error:
        return f"{one_line(error)}; give Python's own int and str"
    return "" if again == document else "read again from JSON, it is another"
