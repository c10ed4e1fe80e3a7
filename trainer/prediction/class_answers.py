"""Answers of classifiers to windows of clips: the most probable classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model.frames import clip_inputs
from pipeline.command_line.errors import RequestError
from trainer.input.dataset_spec import DatasetSpec
from trainer.prediction.clip_windows import Window
from trainer.prediction.window_answers import AnsweringModel, WindowAnswers, known, verdict_of
from trainer.run.trained_model import TrainedModel, compile_for_inference
from trainer.tasks.trainable_kind import trainable_kind
from trainer.training.settings import CLASSIFY


@dataclass(frozen=True)
class ClassAnswer:
    """A model's answer to a window.

    Attributes:
        window: the window.
        ranked: names of classes with their probabilities, the most probable first; at least one.
        expected: name of the class; None if the file has no labels.
        has_list: whether JSON also lists all of ``ranked``.
    """

    window: Window
    ranked: Sequence[tuple[str, float]]
    expected: str | None
    has_list: bool

    def to_json(self) -> dict[str, Any]:
        """See `WrittenAnswer`."""
        label, probability = self.ranked[0]
        ranked = [{"label": name, "probability": value} for name, value in self.ranked]
        return {
            **known(self.window),
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

    def verdict(self) -> str:
        """See `WindowAnswer`."""
        label, probability = self.ranked[0]
        return verdict_of(self.expected, label, f"probability {probability:.4f}")


class ClassAnswers(WindowAnswers):
    """See `WindowAnswers`.

    Args:
        trained_on: see `WindowAnswers`.
        class_names: names of the classes by number.
        top_k: how many classes are listed; None: only the most probable one, and no list.

    Raises:
        RequestError: if there are fewer classes.
    """

    def __init__(
        self, trained_on: Mapping[str, Any], class_names: Sequence[str], top_k: int | None = None
    ) -> None:
        super().__init__(trained_on)
        self._names, self._top_k = class_names, top_k
        if top_k is not None and top_k > len(class_names):
            raise RequestError(f"--top_k {top_k}: the model has only {len(class_names)} classes")

    @property
    def columns(self) -> Sequence[str]:
        """See `WindowAnswers.columns`."""
        places = range(2, (self._top_k or 1) + 1)
        others = [f"{name}_{place}" for place in places for name in ("label", "probability")]
        return ["file", "index", "start", "end", "label", "probability", *others, "expected"]

    def check_records(self, spec: DatasetSpec, data_dir: str) -> None:
        """See `WindowAnswers.check_records`."""
        kind = trainable_kind(spec, CLASSIFY)
        kind.check_trainable(spec, data_dir)
        kind.check_fits(self._trained_on, spec)

    def answering(self, trained: TrainedModel, num_frames: int) -> AnsweringModel:
        """See `WindowAnswers.answering`."""
        classifier = trained.classifier
        inputs = clip_inputs(num_frames, tuple(classifier.input["frames"].shape[2:]))
        model = keras.Model(inputs, classifier(inputs), name="video_classifier")
        return AnsweringModel(compile_for_inference(model), self._answer)

    def _answer(self, window: Window, probabilities: npt.NDArray[np.float32]) -> ClassAnswer:
        best = np.argsort(-probabilities, kind="stable")[: self._top_k or 1]
        # The shortest decimal number of the same float32.
        ranked = [(self._names[number], float(str(probabilities[number]))) for number in best]
        expected = None if window.label is None else self._names[window.label]
        return ClassAnswer(window, ranked, expected, self._top_k is not None)
