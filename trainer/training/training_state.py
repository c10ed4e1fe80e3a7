"""Where a training stands, besides weights and optimizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainingState:
    """What a checkpoint holds besides the model.

    Attributes:
        step: finished steps of the run.
        history: rows of ``history.csv``, one for every finished epoch.
        totals: of the epoch under way, the variables of its losses and metrics; empty between epochs.
        seconds: of the epoch under way, spent training.
        waiting: of these, seconds spent waiting for input.
    """

    step: int = 0
    history: list[dict[str, str]] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    seconds: float = 0.0
    waiting: float = 0.0

    def to_json(self) -> str:
        """As it stands in a checkpoint."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: bytes) -> TrainingState:
        """Out of a checkpoint.

        Raises:
            ValueError: if it is not one.
        """
        document: Any = json.loads(text)
        try:
            return cls(**document)
        except TypeError as error:
            raise ValueError("is not the state of a training") from error


def epochs_without_progress(history: Sequence[dict[str, str]]) -> int:
    """Epochs since the one with the lowest validation loss."""
    losses = [float(row["val_loss"]) for row in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
