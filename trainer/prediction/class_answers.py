"""A model's answer to a window of a clip: the most probable classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.prediction.clip_windows import Window


@dataclass(frozen=True)
class ClassAnswer:
    """A model's answer to a window.

    Attributes:
        file, index, start, end: see `Window`.
        ranked: names of classes with their probabilities, the most probable first; at least one.
        expected: name of the class; None if the file has no labels.
        has_list: whether JSON also lists all of ``ranked``.
    """

    file: str
    index: int | None
    start: float
    end: float
    ranked: Sequence[tuple[str, float]]
    expected: str | None
    has_list: bool

    @classmethod
    def of(
        cls,
        window: Window,
        probabilities: npt.NDArray[np.float32],
        class_names: Sequence[str],
        top_k: int | None,
    ) -> ClassAnswer:
        """The answer to a window.

        Args:
            window: the window.
            probabilities: of the classes, (N,).
            class_names: names of the classes by number.
            top_k: how many classes are listed; None: only the most probable one, and no list.
        """
        best = np.argsort(-probabilities, kind="stable")[: top_k or 1]
        # The shortest decimal number of the same float32.
        ranked = [(class_names[number], float(str(probabilities[number]))) for number in best]
        expected = None if window.label is None else class_names[window.label]
        return cls(window.file, window.index, window.start, window.end, ranked, expected, top_k is not None)

    def to_json(self) -> dict[str, Any]:
        """See `WrittenAnswer`."""
        label, probability = self.ranked[0]
        ranked = [{"label": name, "probability": value} for name, value in self.ranked]
        return {
            "file": self.file,
            **({} if self.index is None else {"index": self.index}),
            "start": self.start,
            "end": self.end,
            "label": label,
            "probability": probability,
            **({"top": ranked} if self.has_list else {}),
            **({} if self.expected is None else {"expected": self.expected}),
        }

    def to_row(self) -> dict[str, Any]:
        """See `WrittenAnswer`."""
        row = self.to_json()
        for place, (name, value) in enumerate(self.ranked[1:], 2):
            row |= {f"label_{place}": name, f"probability_{place}": value}
        return row


def columns(top_k: int | None) -> list[str]:
    """Columns of CSV."""
    others = [f"{name}_{place}" for place in range(2, (top_k or 1) + 1) for name in ("label", "probability")]
    return ["file", "index", "start", "end", "label", "probability", *others, "expected"]


def verdict(window: Window, probabilities: npt.NDArray[np.float32], class_names: Sequence[str]) -> str:
    """A line about an answer: the class, if it is known, and the predicted class with its probability."""
    best = int(probabilities.argmax())
    expected = "" if window.label is None else f"Expected: {class_names[window.label]}, "
    return f"{expected}Predicted: {class_names[best]} (probability {probabilities[best]:.4f})"
