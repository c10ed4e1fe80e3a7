"""Accuracy over groups of sequences.

A **slicing** assigns each sequence to one of its groups, by path and label:

    @slicing("start_row", "top", "middle", "bottom")
    def start_row(paths, labels):
        return paths[:, 0].astype(int) * 3 // paths.shape[1]

A slicing is added by such a function in this module, or in a file for ``trainer.evaluate --slices FILE``.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError, one_line
from pipeline.moving_line.lines import CLASS_NAMES, Int64Array, Uint8Array
from trainer.evaluation.intervals import proportion

# With fewer sequences, the interval of an accuracy of 0.5 is at least 0.2 wide.
SMALL = 100

# The index of each sequence's group, integers (n,); a function to it from paths, uint8 (n, S), and labels,
# int64 (n,).
Groups = npt.NDArray[np.integer[Any]]
Assign = Callable[[Uint8Array, Int64Array], Groups]

_NAME = re.compile(r"\w[\w -]*")


@dataclass(frozen=True)
class Slicing:
    """A division of sequences into groups.

    Attributes:
        groups: names of the groups, by the index that ``assign`` returns.
        assign: maps paths, uint8 (n, S), and labels, int64 (n,), to indices of groups, integers (n,).
    """

    groups: tuple[str, ...]
    assign: Assign


SLICINGS: dict[str, Slicing] = {}


def slicing(name: str, *groups: str) -> Callable[[Assign], Assign]:
    """Register the decorated function as a slicing.

    Args:
        name: name of the slicing.
        groups: names of its groups, by index.

    Raises:
        ValueError: if the slicing exists already, has no groups, or names one twice; or if a name has other
            characters than letters, digits, space, _ and -.
    """
    if name in SLICINGS:
        raise ValueError(f"there is a slicing {name!r} already")
    if not groups or len(set(groups)) < len(groups):
        raise ValueError(f"slicing {name!r}: name its groups, each once")
    for each in (name, *groups):
        if not _NAME.fullmatch(each):
            raise ValueError(
                f"slicing {name!r}: {each!r} has characters beside letters, digits, space, _ and -"
            )

    def register(assign: Assign) -> Assign:
        SLICINGS[name] = Slicing(groups, assign)
        return assign

    return register


@slicing("direction", *CLASS_NAMES)
def _direction(paths: Uint8Array, labels: Int64Array) -> Groups:
    return labels


@slicing("start_row", "top", "middle", "bottom")
def _start_row(paths: Uint8Array, labels: Int64Array) -> Groups:
    """The third of the rows in which the line starts."""
    return np.floor_divide(paths[:, 0].astype(np.int64) * 3, paths.shape[1])


@slicing("turns", "few", "some", "many")
def _turns(paths: Uint8Array, labels: Int64Array) -> Groups:
    """How often the line changes between up and down, straight runs in between not counted.

    For large S the mean is (S - 1) / 3; "few" is below 0.8 times the mean, "many" at least 1.2 times.
    """
    steps = np.sign(np.diff(paths.astype(np.int8 if paths.shape[1] <= 128 else np.int16), axis=1))
    # A straight run keeps the direction before it.
    last_moved = np.maximum.accumulate(np.where(steps != 0, np.arange(1, paths.shape[1]), 0), axis=1)
    padded = np.concatenate([np.zeros_like(steps[:, :1]), steps], axis=1)
    direction = np.take_along_axis(padded, last_moved, axis=1)
    turns = (direction[:, 1:] * direction[:, :-1] < 0).sum(1)
    usual = (paths.shape[1] - 1) / 3
    groups: Groups = np.digitize(turns, [0.8 * usual, 1.2 * usual])
    return groups


@slicing("border", "touched", "free")
def _border(paths: Uint8Array, labels: Int64Array) -> Groups:
    """Whether the line touches the top row or the bottom row."""
    touched = (paths == 0) | (paths == paths.shape[1] - 1)
    groups: Groups = (~touched.any(1)).astype(np.int64)
    return groups


def load_slicings(path: str | None) -> dict[str, Slicing]:
    """The slicings of this module by name, and those that a Python file registers.

    Args:
        path: the Python file, which is run; None for none.

    Raises:
        RequestError: if running the file fails.
    """
    known = dict(SLICINGS)
    if path is None:
        return known
    try:
        runpy.run_path(path)
        return {**SLICINGS, **known}
    except (Exception, SystemExit) as error:  # The user's program may raise anything.
        reason = f"{type(error).__name__}: {one_line(error)[:200]}"
        raise RequestError(f"--slices {path}: cannot be loaded ({reason})") from error
    finally:
        SLICINGS.clear()
        SLICINGS.update(known)


class SliceTally:
    """Counts sequences and correct answers in each group of each slicing."""

    def __init__(self, slicings: Mapping[str, Slicing]) -> None:
        self._slicings = dict(slicings)
        self._counts = {name: np.zeros((len(each.groups), 2), np.int64) for name, each in slicings.items()}

    def add(self, paths: Uint8Array, labels: Int64Array, correct: npt.NDArray[np.bool_]) -> None:
        """Add sequences.

        Args:
            paths: uint8 (n, S).
            labels: int64 (n,).
            correct: whether each answer is correct, bool (n,).

        Raises:
            RequestError: if a slicing fails, or does not return an index for each sequence.
        """
        for name, each in self._slicings.items():
            try:
                # Copy: a slicing may change its arguments.
                groups = np.asarray(each.assign(paths.copy(), labels.copy()))
                groups = _checked(groups, len(labels), len(each.groups))
            except (Exception, SystemExit) as error:  # A user's slicing may raise anything.
                raise RequestError(
                    f"slicing {name}: {type(error).__name__}: {one_line(error)[:200]}"
                ) from error
            for column, counted in enumerate((groups, groups[correct])):
                self._counts[name][:, column] += np.bincount(counted, minlength=len(each.groups))

    def document(self) -> dict[str, Any]:
        """The part ``slices``: number of sequences and accuracy, by slicing and group."""
        return {
            name: {
                group: _row(*self._counts[name][index].tolist()) for index, group in enumerate(each.groups)
            }
            for name, each in self._slicings.items()
        }


def _checked(groups: npt.NDArray[Any], count: int, num_groups: int) -> Groups:
    if groups.shape != (count,) or not np.issubdtype(groups.dtype, np.integer):
        raise ValueError(f"gave {groups.dtype} {groups.shape}, expected a whole number for each of {count}")
    if ((groups < 0) | (groups >= num_groups)).any():
        raise ValueError(f"gave groups {groups.min()} to {groups.max()}, expected 0 to {num_groups - 1}")
    return groups


def _row(count: int, correct: int) -> dict[str, Any]:
    accuracy, interval = proportion(correct, count)
    return {
        "num_sequences": count,
        "accuracy": accuracy,
        "accuracy_interval": interval,
        "is_small": count < SMALL,
    }
