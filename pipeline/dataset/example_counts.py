"""Statistics of examples of any kind: numbers of examples by class and by length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dataset.features import ClassLabel, Feature, Tensor


@dataclass(frozen=True)
class ExampleCounts:
    """Numbers of examples by class and by length; see `Statistics`.

    Attributes:
        classes: for each `ClassLabel`, the number of examples by class name.
        lengths: for each `Tensor` with a dimension that varies, the number of examples by its size there.
    """

    classes: dict[str, dict[str, int]]
    lengths: dict[str, dict[int, int]]

    @classmethod
    def of(cls, features: Mapping[str, Feature], example: Mapping[str, Any]) -> ExampleCounts:
        """The counts of one example, which has a value for each of the features."""
        classes, lengths = {}, {}
        for name, feature in features.items():
            if isinstance(feature, ClassLabel):
                classes[name] = dict.fromkeys(feature.names, 0)
                classes[name][feature.names[int(example[name])]] = 1
            elif isinstance(feature, Tensor) and None in feature.shape:
                lengths[name] = {int(np.shape(example[name])[feature.shape.index(None)]): 1}
        return cls(classes, lengths)

    def __add__(self, other: ExampleCounts) -> ExampleCounts:
        return ExampleCounts(_add(self.classes, other.classes), _add(self.lengths, other.lengths))

    def __str__(self) -> str:
        return ", ".join(
            f"{count:,} {name}" for counts in self.classes.values() for name, count in counts.items()
        )

    def to_json(self) -> dict[str, Any]:
        """The counts as the manifest stores them, lengths in ascending order."""
        lengths = {
            name: {str(length): counts[length] for length in sorted(counts)}
            for name, counts in self.lengths.items()
        }
        return {"classes": self.classes, "lengths": lengths}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ExampleCounts:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError, ValueError, AttributeError: if ``document`` is not a value that `to_json`
                returns.
        """
        classes = {name: dict(counts) for name, counts in document["classes"].items()}
        lengths = {
            name: {int(length): count for length, count in counts.items()}
            for name, counts in document["lengths"].items()
        }
        for counts in [*classes.values(), *lengths.values()]:
            if any(type(count) is not int for count in counts.values()):
                raise TypeError("a count is not a whole number")
        return cls(classes, lengths)


def _add(one: Mapping[str, dict[Any, int]], other: Mapping[str, dict[Any, int]]) -> dict[str, dict[Any, int]]:
    return {
        name: {key: counts.get(key, 0) + other[name].get(key, 0) for key in {**counts, **other[name]}}
        for name, counts in one.items()
    }
