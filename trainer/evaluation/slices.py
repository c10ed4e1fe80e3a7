"""Accuracy over groups of sequences.

A **slicing** assigns each sequence to one of its groups, by its example and label. An example is a trace (of
moving lines, the path), or of data sets of other kinds the columns that
`trainer.evaluation.n_classes.slicings` lists:

    @slicing("start_row", "top", "middle", "bottom")
    def start_row(paths, labels):
        return paths[:, 0].astype(int) * 3 // paths.shape[1]

A slicing is added by such a function in a file for ``trainer.evaluate --slices FILE``. Kinds of data sets
have slicings of their own: see `trainer.tasks.trainable_kind`.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError, one_line
from trainer.evaluation.intervals import proportion

# With fewer sequences, the interval of an accuracy of 0.5 is at least 0.2 wide.
SMALL = 100

# Of a batch of sequences: traces, uint8 (n, ...), or columns by name, each (n,).
Examples = npt.NDArray[np.uint8] | Mapping[str, npt.NDArray[Any]]
# The index of each sequence's group, integers (n,); a function to it from examples and labels, int64 (n,).
Groups = npt.NDArray[np.integer[Any]]
Assign = Callable[[Any, npt.NDArray[np.int64]], Groups]

_NAME = re.compile(r"\w[\w -]*")


@dataclass(frozen=True)
class Slicing:
    """A division of sequences into groups.

    Attributes:
        groups: names of the groups, by the index that ``assign`` returns.
        assign: maps `Examples` and labels, int64 (n,), to indices of groups, integers (n,).
    """

    groups: tuple[str, ...]
    assign: Assign


# Those that are known while a file of slicings is run.
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


def load_slicings(path: str | None, known: Mapping[str, Slicing]) -> dict[str, Slicing]:
    """Slicings by name: those of a kind of data set, and those that a Python file registers.

    Args:
        path: the Python file, which is run; None for none.
        known: the slicings of the kind.

    Raises:
        RequestError: if running the file fails.
    """
    if path is None:
        return dict(known)
    SLICINGS.update(known)
    try:
        runpy.run_path(path)
        return {**SLICINGS, **known}
    except (Exception, SystemExit) as error:  # The user's program may raise anything.
        reason = f"{type(error).__name__}: {one_line(error)[:200]}"
        raise RequestError(f"--slices {path}: cannot be loaded ({reason})") from error
    finally:
        SLICINGS.clear()


class SliceTally:
    """Counts sequences and correct answers in each group of each slicing."""

    def __init__(self, slicings: Mapping[str, Slicing]) -> None:
        self._slicings = dict(slicings)
        self._counts = {name: np.zeros((len(each.groups), 2), np.int64) for name, each in slicings.items()}

    def add(self, examples: Examples, labels: npt.NDArray[np.int64], correct: npt.NDArray[np.bool_]) -> None:
        """Add sequences.

        Args:
            examples: of n sequences.
            labels: int64 (n,).
            correct: whether each answer is correct, bool (n,).

        Raises:
            RequestError: if a slicing fails, or does not return an index for each sequence.
        """
        self.count(self.assign(examples, labels), correct)

    def assign(self, examples: Examples, labels: npt.NDArray[np.int64]) -> dict[str, Groups]:
        """The index of each sequence's group, by slicing; arguments and errors as for `add`."""
        assigned = {}
        for name, each in self._slicings.items():
            try:
                # Copy: a slicing may change its arguments.
                groups = np.asarray(each.assign(deepcopy(examples), labels.copy()))
                assigned[name] = _checked(groups, len(labels), len(each.groups))
            except (Exception, SystemExit) as error:  # A user's slicing may raise anything.
                raise RequestError(
                    f"slicing {name}: {type(error).__name__}: {one_line(error)[:200]}"
                ) from error
        return assigned

    def count(self, assigned: Mapping[str, Groups], correct: npt.NDArray[np.bool_]) -> None:
        """Count sequences whose groups are known: those of `assign`, and whether each answer is correct."""
        for name, groups in assigned.items():
            for column, counted in enumerate((groups, groups[correct])):
                self._counts[name][:, column] += np.bincount(counted, minlength=len(self._counts[name]))

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
