"""For whom the model is worse: accuracy over groups of sequences.

A **slicing** puts every sequence into one of its groups, as a function of path and label:

    @slicing("start_row", "top", "middle", "bottom")
    def start_row(paths, labels):
        return paths[:, 0].astype(int) * 3 // paths.shape[1]

That is all there is to add one: here, or in a file of one's own for ``trainer.evaluate --slices FILE``.
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

SMALL = 100  # Sequences; with fewer, the interval of an accuracy around one half is about 0.2 wide, or wider.

# Paths, uint8 (n, S), and labels, int64 (n,), to the number of each sequence's group, integers (n,).
Groups = npt.NDArray[np.integer[Any]]
Assign = Callable[[Uint8Array, Int64Array], Groups]

_NAME = re.compile(r"\w[\w -]*")


@dataclass(frozen=True)
class Slicing:
    """A way to part sequences.

    Attributes:
        groups: their names, in the order of the numbers that ``assign`` gives.
        assign: paths, uint8 (n, S), and labels, int64 (n,), to numbers of groups, integers (n,).
    """

    groups: tuple[str, ...]
    assign: Assign


SLICINGS: dict[str, Slicing] = {}


def slicing(name: str, *groups: str) -> Callable[[Assign], Assign]:
    """Register a function as a slicing.

    Raises:
        ValueError: if the name is taken, or a name has other characters than letters, digits, space, _ and -.
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
    """Thirds of the rows."""
    return np.floor_divide(paths[:, 0].astype(np.int64) * 3, paths.shape[1])


@slicing("turns", "few", "some", "many")
def _turns(paths: Uint8Array, labels: Int64Array) -> Groups:
    """How often the line changes between up and down, however long it runs straight in between.

    For large S that is (S - 1) / 3 times on average; few and many are a fifth of that away from it, and more.
    """
    steps = np.sign(np.diff(paths.astype(np.int8 if paths.shape[1] <= 128 else np.int16), axis=1))
    # Where a line runs straight it keeps the direction that it had.
    last_moved = np.maximum.accumulate(np.where(steps != 0, np.arange(1, paths.shape[1]), 0), axis=1)
    padded = np.concatenate([np.zeros_like(steps[:, :1]), steps], axis=1)
    direction = np.take_along_axis(padded, last_moved, axis=1)
    turns = (direction[:, 1:] * direction[:, :-1] < 0).sum(1)
    usual = (paths.shape[1] - 1) / 3
    groups: Groups = np.digitize(turns, [0.8 * usual, 1.2 * usual])
    return groups


@slicing("border", "touched", "free")
def _border(paths: Uint8Array, labels: Int64Array) -> Groups:
    """Whether the line comes to the uppermost or the lowest row."""
    touched = (paths == 0) | (paths == paths.shape[1] - 1)
    groups: Groups = (~touched.any(1)).astype(np.int64)
    return groups


def load_slicings(path: str | None) -> dict[str, Slicing]:
    """The slicings of this module, and those that a Python file registers when it is run.

    Raises:
        RequestError: if the file cannot be run.
    """
    known = dict(SLICINGS)
    if path is None:
        return known
    try:
        runpy.run_path(path)
        return {**SLICINGS, **known}
    except (Exception, SystemExit) as error:  # It is somebody else's program.
        reason = f"{type(error).__name__}: {one_line(error)[:200]}"
        raise RequestError(f"--slices {path}: cannot be loaded ({reason})") from error
    finally:
        SLICINGS.clear()
        SLICINGS.update(known)


class SliceTally:
    """Counts of sequences and right answers in every group of every slicing.

    Raises:
        RequestError: by `add`, if a slicing does not give a group's number for every sequence.
    """

    def __init__(self, slicings: Mapping[str, Slicing]) -> None:
        self._slicings = dict(slicings)
        self._counts = {name: np.zeros((len(each.groups), 2), np.int64) for name, each in slicings.items()}

    def add(self, paths: Uint8Array, labels: Int64Array, correct: npt.NDArray[np.bool_]) -> None:
        """Take paths (n, S), labels (n,) and whether each was answered rightly (n,)."""
        for name, each in self._slicings.items():
            try:
                # Copies: what one does to its arguments is not for the others to see.
                groups = np.asarray(each.assign(paths.copy(), labels.copy()))
                groups = _checked(groups, len(labels), len(each.groups))
            except (Exception, SystemExit) as error:  # It may be somebody else's program.
                raise RequestError(
                    f"slicing {name}: {type(error).__name__}: {one_line(error)[:200]}"
                ) from error
            for column, counted in enumerate((groups, groups[correct])):
                self._counts[name][:, column] += np.bincount(counted, minlength=len(each.groups))

    def document(self) -> dict[str, Any]:
        """By slicing and group: number of sequences, accuracy, its Wilson interval, whether it is small."""
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
