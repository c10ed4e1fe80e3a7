"""A run that was trained on frames, and what its model answers to windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError
from trainer.captions.captioning import Decoding
from trainer.distributed.device_errors import device_errors_explained
from trainer.evaluation.scoring import answers_in_order
from trainer.frames.kind import FramesKind
from trainer.input.frame_view import FrameView
from trainer.prediction.caption_answers import CaptionAnswers
from trainer.prediction.class_answers import ClassAnswers
from trainer.prediction.clip_windows import Window
from trainer.prediction.frame_format import FrameFormat
from trainer.prediction.window_answers import WindowAnswer, WindowAnswers
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model, trained_settings
from trainer.training.settings import DESCRIBE


@dataclass(frozen=True)
class ClipRun:
    """A run that was trained on frames.

    Attributes:
        run: its directory.
        form: the frames of its data set.
        view: how clips are shown to its model when it is judged.
        how: how its model answers.
    """

    run: RunDirectory
    form: FrameFormat
    view: FrameView
    how: WindowAnswers

    @classmethod
    def of(cls, run: RunDirectory, *, top_k: int | None = None, decoding: Decoding | None = None) -> ClipRun:
        """Read a run's ``config.json``; the model is loaded later.

        Args:
            run: its directory.
            top_k: see `ClassAnswers`; of classifiers only.
            decoding: how captions are written; of captioners only. None: as by default.

        Raises:
            RequestError: if it is damaged, or ``top_k`` is too large.
        """
        trained_on = run.training_data()
        assert trained_on is not None
        settings = trained_settings(run)
        view, describes = FramesKind().view(settings).judged(), settings.task == DESCRIBE
        try:
            form = FrameFormat.of(trained_on)
            class_names = () if describes else tuple(trained_on["class_names"])
        except (LookupError, TypeError, ValueError) as error:
            raise RequestError(f"{run.config_path} is damaged; restore it or train again") from error
        if describes:
            return cls(run, form, view, CaptionAnswers(trained_on, decoding or Decoding()))
        return cls(run, form, view, ClassAnswers(trained_on, class_names, top_k))

    def answers(self, windows: Iterable[Window], batch_size: int) -> Iterator[list[WindowAnswer]]:
        """Load the model, and yield its answers to batches of windows.

        The last batch may be smaller; all are of one size for the model, which is compiled once.

        Args:
            windows: in the order of the answers.
            batch_size: largest number of windows in a batch.

        Raises:
            RequestError: if there is no model.
            WorkError: if the device fails or the answers are not finite.
        """
        trained = load_trained_model(self.run)
        if trained.is_captioner != isinstance(self.how, CaptionAnswers):
            raise RequestError(f"{self.run.config_path}: is of another model; restore it or train again")
        loaded = self.how.answering(trained, self.view.num_frames)
        batches = _batches(windows, batch_size)
        first = next(batches, None)
        if first is None:
            return
        with device_errors_explained():
            # A first batch that is smaller is the only one.
            for batch, outputs in answers_in_order(
                chain([first], batches), _features, loaded.model, len(first)
            ):
                yield [loaded.answer(window, _row(outputs, row)) for row, window in enumerate(batch)]


def _batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    left = iter(windows)
    while batch := list(islice(left, size)):
        yield batch


def _features(batch: list[Window]) -> dict[str, npt.NDArray[Any]]:
    return {
        "frames": np.stack([window.frames for window in batch]),
        "length": np.array([window.length for window in batch], np.int32),
    }


def _row(outputs: Any, row: int) -> Any:
    return keras.tree.map_structure(lambda each: each[row], outputs)
