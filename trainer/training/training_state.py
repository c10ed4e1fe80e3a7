"""The state of a training, besides weights and optimizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainingState:
    """What a checkpoint stores besides the model.

    Attributes:
        step: number of finished steps of the run.
        history: rows of ``history.csv``, one for each finished epoch.
        totals: running sums of loss and metrics in the current epoch; empty between epochs.
        seconds: seconds of training in the current epoch.
        waiting: the part of ``seconds`` spent waiting for input.
    """

    step: int = 0
    history: list[dict[str, str]] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    seconds: float = 0.0
    waiting: float = 0.0

    def to_json(self) -> str:
        """The state as stored in a checkpoint."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: bytes) -> TrainingState:
        """Read a state from the text stored in a checkpoint.

        Raises:
            ValueError: if the text is no state.
        """
        document: Any = json.loads(text)
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError("is not the state of a training") from error


def epochs_without_progress(history: Sequence[dict[str, str]]) -> int:
    """Number of epochs since the one with the lowest validation loss; 0 without epochs."""
    losses = [float(row["val_loss"]) for row in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
