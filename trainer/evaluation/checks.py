"""The gate: checks metrics against bounds, and against another ``metrics.json``, the baseline.

A file of checks is YAML, a mapping from names of numbers (see `trainer.evaluation.document.named_numbers`) to
bounds:

    accuracy: {min: 0.99, min_change: -0.001}
    accuracy_interval.low: {min: 0.98}
    slices.turns.many.accuracy: {min: 0.97}
    loss: {max: 0.05}

``min_change`` and ``max_change`` are bounds on the value minus the baseline's.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
import yaml

from pipeline.command_line.errors import RequestError, one_line
from trainer.evaluation.document import SCHEMA_VERSION, named_numbers, upgrade_document

_CHANGES = ("min_change", "max_change")
_BOUNDS = ("min", "max", *_CHANGES)
_ROUNDING = 1e-12

# Parts of a metrics.json that this module and its callers read.
_PARTS = ("model", "dataset", "request", "code", "throughput", "environment")


@dataclass(frozen=True)
class Check:
    """A bound on a number.

    Attributes:
        name: name of the number.
        bound: "min" or "max" of the value, or "min_change" or "max_change" of the value minus the baseline's.
        limit: the bound itself; a value equal to it passes.
    """

    name: str
    bound: str
    limit: float

    @property
    def needs_baseline(self) -> bool:
        """Whether the bound is one on a change."""
        return self.bound in _CHANGES

    def result(
        self, values: Mapping[str, float | None], baseline: Mapping[str, float | None]
    ) -> dict[str, Any]:
        """The check's row of ``metrics.json``; an undefined value fails.

        Args:
            values: numbers of the evaluation by name.
            baseline: numbers of the baseline by name.
        """
        value, before = values[self.name], baseline.get(self.name) if self.needs_baseline else None
        checked = value
        if self.needs_baseline:
            checked = None if value is None or before is None else value - before
        # A change equal to the limit must pass, although the difference of two floats is rounded.
        low, high = self.limit - _ROUNDING, self.limit + _ROUNDING
        passed = checked is not None and (checked >= low if self.bound.startswith("min") else checked <= high)
        row = {"name": self.name, "bound": self.bound, "limit": self.limit, "value": value}
        return {**row, "baseline": before, "passed": passed}


@dataclass(frozen=True)
class Gate:
    """Checks and their baseline.

    Attributes:
        checks: the checks.
        baseline: document of another ``metrics.json``, for bounds on changes; None if there is none.
    """

    checks: tuple[Check, ...] = ()
    baseline: Mapping[str, Any] | None = None

    def check_names(self, known: Sequence[str]) -> None:
        """Check, before the evaluation, that all numbers checked will exist.

        Args:
            known: names of the numbers that the evaluation will have.

        Raises:
            RequestError: with the first unknown name and a similar known one.
        """
        for check in self.checks:
            if check.name not in known:
                close = difflib.get_close_matches(check.name, known, n=1)
                meant = f"; did you mean {close[0]}?" if close else ""
                raise RequestError(f"--checks: there is no number {check.name}{meant}")

    def check_baseline(self, dataset: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Check that the baseline was measured on the same data and in the same way.

        Args:
            dataset: the part ``dataset`` of the evaluation's document.
            request: its part ``request``.

        Raises:
            RequestError: if a check needs a baseline and there is none, or with what differs.
        """
        changes = [check for check in self.checks if check.needs_baseline]
        if self.baseline is None:
            if changes:
                raise RequestError(
                    f"--checks: {changes[0].name}: {changes[0].bound} needs --baseline metrics.json"
                )
            return
        measured_on, asked = self.baseline["dataset"], self.baseline["request"]
        if measured_on["content_sha256"] != dataset["content_sha256"]:
            raise RequestError(
                f"--baseline: was measured on other sequences than split {dataset['split']} of this data set"
                f" (content {measured_on['content_sha256'][:12]}, not {dataset['content_sha256'][:12]})"
            )
        if measured_on["left_out"] != dataset["left_out"]:
            raise RequestError("--baseline: other damaged sequences were left out there; repair the data set")
        names = named_numbers(self.baseline)
        for check in changes:
            if check.name not in names:
                raise RequestError(
                    f"--baseline: has no {check.name}; evaluate it with the same --flips and --slices"
                )
            if check.name.startswith("robustness.") and asked["seed"] != request["seed"]:
                raise RequestError(f"--baseline: {check.name} was measured with --seed {asked['seed']}")
            if check.name.startswith("slices.") and asked["slices"] != request["slices"]:
                ours, theirs = (each and each["sha256"] for each in (request["slices"], asked["slices"]))
                if ours != theirs:
                    raise RequestError(f"--baseline: {check.name} was measured with other --slices")

    def results(self, document: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of all checks for a document."""
        values = named_numbers(document)
        before = {} if self.baseline is None else named_numbers(self.baseline)
        return [check.result(values, before) for check in self.checks]


def read_checks(path: str) -> tuple[Check, ...]:
    """Read the checks of a YAML file.

    Raises:
        RequestError: if the file cannot be read, or is no mapping from names to bounds.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.load(stream, _UniqueKeyLoader)
    except OSError as error:
        raise RequestError(f"--checks {path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # Wrong dates raise ValueError.
        raise RequestError(f"--checks {path}: is not YAML ({one_line(error)[:160]})") from error
    if not isinstance(document, dict) or not document:
        raise RequestError(
            f"--checks {path}: give a mapping from names to bounds, as in accuracy: {{min: 0.99}}"
        )
    checks = []
    for name, bounds in document.items():
        if not isinstance(bounds, dict) or not bounds:
            raise RequestError(f"--checks {path}: {name}: give bounds, as in {{min: 0.99}}")
        for bound, limit in bounds.items():
            if bound not in _BOUNDS:
                raise RequestError(f"--checks {path}: {name}: {bound} is none of {', '.join(_BOUNDS)}")
            checks.append(Check(str(name), bound, _limit(limit, f"--checks {path}: {name}: {bound}")))
    return tuple(checks)


def read_metrics(path: str, flag: str) -> dict[str, Any]:
    """Read a ``metrics.json``, upgraded to the current schema version.

    Args:
        path: the file.
        flag: the flag that gave the path, for the error.

    Raises:
        RequestError: if the file cannot be read, or has an unsupported schema version.
    """
    try:
        document = upgrade_document(json.loads(tf.io.gfile.GFile(path).read()))
        version = document["schema_version"]
        if version == SCHEMA_VERSION:
            _check_document(document)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(f"{flag} {path}: is not a metrics.json ({one_line(error)[:120]})") from error
    except (OSError, tf.errors.OpError) as error:
        raise RequestError(f"{flag} {path}: cannot be read ({one_line(error)[:160]})") from error
    if version != SCHEMA_VERSION:
        raise RequestError(
            f"{flag} {path}: has schema version {version}, this program reads 2 and {SCHEMA_VERSION}"
        )
    return dict(document)


def _check_document(document: Mapping[str, Any]) -> None:
    """Raise an error of any kind if a document is not as `trainer.evaluation.evaluator` writes it."""
    for part in _PARTS:
        if not isinstance(document[part], dict):
            raise ValueError(f"{part} is no mapping")
    for name, value in named_numbers(document).items():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{name} is {value}")
    for name in ("content_sha256", "left_out"):
        _ = document["dataset"][name]
    for name in ("seed", "slices"):
        _ = document["request"][name]


def _limit(limit: object, where: str) -> float:
    try:
        # YAML 1.1 parses 1e-3 as a string.
        number = float("" if isinstance(limit, bool) else limit)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RequestError(f"{where}: {str(limit)[:40]!r} is not a number")
    return number


class _UniqueKeyLoader(yaml.SafeLoader):
    """`yaml.SafeLoader` that raises an error for a key given twice, where PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for index, key in enumerate(keys) if key in keys[:index]]:
            raise yaml.constructor.ConstructorError(
                problem=f"{twice[0]} is given twice", problem_mark=node.start_mark
            )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
