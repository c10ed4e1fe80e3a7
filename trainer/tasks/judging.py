"""What judges models: the interface between the evaluator and a kind of data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.command_line.errors import RequestError
from trainer.run.trained_model import TrainedModel


@dataclass(frozen=True)
class JudgingRequest:
    """What is asked of a judge.

    Attributes:
        split: name of the split.
        batch_size: number of sequences in a batch.
        flips: shares of pixels to flip; of moving lines only.
        seed: seed of the flipped pixels.
        views: number of windows of every record that are averaged; None: one. Not of moving lines.
        crops: number of crops of every window; None: one. Not of moving lines.
        single_frame: whether the model is also shown one frame only. Not of moving lines.
        beam, length_penalty: how captions are written; see `trainer.captions.captioning.Decoding`. None: as
            there by default. Of captions only.
    """

    split: str
    batch_size: int
    flips: tuple[float, ...] = ()
    seed: int = 0
    views: int | None = None
    crops: int | None = None
    single_frame: bool = False
    beam: int | None = None
    length_penalty: float | None = None

    def given(self, names: Sequence[str]) -> list[str]:
        """Which of these attributes are given."""
        values = {name: getattr(self, name) for name in names}
        # A number that is 0 is given, and equals False.
        return [name for name, each in values.items() if not (each is None or each is False or each == ())]

    def refuse(self, reason: str, *names: str) -> None:
        """Refuse what is not of a kind of data set.

        Raises:
            RequestError: if one of these attributes is given, with its flag.
        """
        if given := self.given(names):
            raise RequestError(f"--{given[0]}: {reason}; leave it out")


@dataclass(frozen=True)
class Judgement:
    """What a judge found.

    Attributes:
        evidence: the answers.
        results: parts of ``metrics.json``.
        passes: how often the split was read.
    """

    evidence: Any
    results: dict[str, Any]
    passes: int


class Judge(ABC):
    """Judges models of one run on one split; what is built once serves all of them."""

    @abstractmethod
    def number_names(self) -> list[str]:
        """Names of the numbers that `Judgement.results` will hold; see `named_numbers`."""

    @abstractmethod
    def judge(self, trained: TrainedModel) -> Judgement:
        """Judge a model.

        Raises:
            WorkError: if a shard is damaged or the answers are not finite.
        """
