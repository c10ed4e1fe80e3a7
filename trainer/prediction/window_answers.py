"""What a model answers to windows of clips: the interface of classes and captions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from trainer.input.dataset_spec import DatasetSpec
from trainer.prediction.answers import WrittenAnswer
from trainer.prediction.clip_windows import Window
from trainer.run.trained_model import TrainedModel


class WindowAnswer(WrittenAnswer, Protocol):
    """An answer to a window."""

    def verdict(self) -> str:
        """A line for people: what was expected, where that is known, and what is predicted."""


@dataclass(frozen=True)
class AnsweringModel:
    """A model, and what its outputs say.

    Attributes:
        model: compiled for inference; takes ``frames`` uint8 (batch, num_frames, H, W, C) and ``length``
            int32 (batch,).
        answer: gives the answer to a window from the outputs for it, which have no batch axis.
    """

    model: keras.Model
    answer: Callable[[Window, Any], WindowAnswer]


class WindowAnswers(ABC):
    """How a run answers to windows.

    Args:
        trained_on: the data set of the training, as ``config.json`` describes it.
    """

    def __init__(self, trained_on: Mapping[str, Any]) -> None:
        self._trained_on = trained_on

    @property
    @abstractmethod
    def columns(self) -> Sequence[str]:
        """Columns of CSV."""

    @abstractmethod
    def check_records(self, spec: DatasetSpec, data_dir: str) -> None:
        """Check that the model can answer to the records of a data set.

        Raises:
            RequestError: if not, with the reason.
        """

    @abstractmethod
    def answering(self, trained: TrainedModel, num_frames: int) -> AnsweringModel:
        """The model that answers to windows of ``num_frames`` frames."""


def known(window: Window) -> dict[str, Any]:
    """What the JSON of every answer begins with."""
    return {
        "file": window.file,
        **({} if window.index is None else {"index": window.index}),
        "start": window.start,
        "end": window.end,
    }


def verdict_of(expected: str | None, predicted: str, certainty: str) -> str:
    """See `WindowAnswer.verdict`.

    Args:
        expected: None where it is not known.
        predicted: the answer.
        certainty: name and value of the number that says how sure the model is.
    """
    begin = "" if expected is None else f"Expected: {expected}, "
    return f"{begin}Predicted: {predicted} ({certainty})"
