"""Answers of captioners to windows of clips: captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.captions.captioning import CaptionModels, Decoding
from trainer.captions.kind import CaptionsKind
from trainer.frames.kind import check_frames
from trainer.input.dataset_spec import DatasetSpec
from trainer.prediction.clip_windows import Window
from trainer.prediction.window_answers import AnsweringModel, WindowAnswers, known, verdict_of
from trainer.run.trained_model import TrainedModel

# Between captions of one clip, in CSV and in verdicts. No caption has this sign.
_BETWEEN = " | "
# What people read of a caption without words. No caption has parentheses.
_NO_WORDS = "(no words)"


@dataclass(frozen=True)
class CaptionAnswer:
    """A model's answer to a window.

    Attributes:
        window: the window; it has what was expected.
        caption: words, joined by spaces; may be empty.
        log_probability: natural logarithm of the caption's probability.
    """

    window: Window
    caption: str
    log_probability: float

    def to_json(self) -> dict[str, Any]:
        """See `WrittenAnswer`."""
        expected = self.window.captions
        return {
            **known(self.window),
            "caption": self.caption,
            "log_probability": self.log_probability,
            **({} if expected is None else {"expected": list(expected)}),
        }

    def to_row(self) -> dict[str, Any]:
        """See `WrittenAnswer`."""
        expected = self.window.captions
        return self.to_json() | ({} if expected is None else {"expected": _BETWEEN.join(expected)})

    def verdict(self) -> str:
        """See `WindowAnswer`."""
        expected = self.window.captions
        return verdict_of(
            _BETWEEN.join(expected) if expected else None,
            self.caption or _NO_WORDS,
            f"log-probability {self.log_probability:.4f}",
        )


class CaptionAnswers(WindowAnswers):
    """See `WindowAnswers`.

    Args:
        trained_on: see `WindowAnswers`.
        decoding: how captions are written.
    """

    def __init__(self, trained_on: Mapping[str, Any], decoding: Decoding) -> None:
        super().__init__(trained_on)
        self._decoding = decoding

    @property
    def columns(self) -> Sequence[str]:
        """See `WindowAnswers.columns`."""
        return ["file", "index", "start", "end", "caption", "log_probability", "expected"]

    def check_records(self, spec: DatasetSpec, data_dir: str) -> None:
        """See `WindowAnswers.check_records`. Neither captions nor labels need be there."""
        check_frames(spec, f"--data_dir {data_dir}: is a data set of {spec.name}")
        CaptionsKind().check_fits(self._trained_on, spec)

    def answering(self, trained: TrainedModel, num_frames: int) -> AnsweringModel:
        """See `WindowAnswers.answering`."""
        models = CaptionModels(trained, num_frames, self._decoding)

        def answer(window: Window, written: Mapping[str, Any]) -> CaptionAnswer:
            # The shortest decimal number of the same float32.
            score = float(str(written["log_probability"]))
            return CaptionAnswer(window, models.vocabulary.text(written["tokens"]), score)

        return AnsweringModel(models.writer, answer)
