"""What a training run is asked to do."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from model import ARCHITECTURES
from pipeline.program import RequestError

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class TrainingSettings:
    """A validated request for a run; everything that its weights depend on besides the data set.

    Attributes:
        epochs: of `steps_per_epoch` steps each; after every one comes validation and a checkpoint.
        steps_per_epoch: batches an epoch; None means one pass over the training split.
        batch_size: sequences a step.
        learning_rate: of Adam, at the first step.
        schedule: "cosine" lets it fall along half a cosine to 0 at the last step, "constant" keeps it.
        clip_norm: gradients with a larger global norm are scaled down to it.
        architecture: one of `model.ARCHITECTURES`.
        readers: shards read in parallel, part of the order of the data; None means 16, or one for every
            shard where there are fewer.
        seed: of the initial weights and of the order of the data.

    Raises:
        RequestError: naming the flag that is wrong.
    """

    epochs: int = 4
    steps_per_epoch: int | None = None
    batch_size: int = 32
    learning_rate: float = 0.0005
    schedule: str = "cosine"
    clip_norm: float = 1.0
    architecture: str = "folded"
    readers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "readers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"--{name} {value}: give a whole number of at least 1")
        if self.epochs * (self.steps_per_epoch or 1) >= 2**31:
            raise RequestError(f"--epochs {self.epochs}: give fewer, 2**31 steps are the most in a run")
        if not 0 <= self.seed < 2**32:
            raise RequestError(f"--seed {self.seed}: give a whole number from 0 to {2**32 - 1}")
        for name in ("learning_rate", "clip_norm"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number > 0):
                raise RequestError(f"--{name} {number}: give a number above 0")
        if self.schedule not in SCHEDULES:
            raise RequestError(f"--schedule {self.schedule}: give one of {', '.join(SCHEDULES)}")
        if self.architecture not in ARCHITECTURES:
            raise RequestError(f"--architecture {self.architecture}: give one of {', '.join(ARCHITECTURES)}")

    def to_json(self) -> dict[str, Any]:
        """The settings as they stand in ``config.json``."""
        return asdict(self)
