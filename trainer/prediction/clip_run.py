"""A run that was trained on frames, and what its model answers to windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model.frames import clip_inputs
from pipeline.command_line.errors import RequestError
from trainer.distributed.device_errors import device_errors_explained
from trainer.evaluation.scoring import answers_in_order
from trainer.frames.kind import FramesKind
from trainer.input.frame_view import FrameView
from trainer.prediction.clip_windows import Window
from trainer.prediction.frame_format import FrameFormat
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import compile_for_inference, load_trained_model, trained_settings

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClipRun:
    """A run that was trained on frames.

    Attributes:
        run: its directory.
        trained_on: the data set, as ``config.json`` describes it.
        form: the frames of that data set.
        view: how clips are shown to its model when it is judged.
    """

    run: RunDirectory
    trained_on: dict[str, Any]
    form: FrameFormat
    view: FrameView

    @classmethod
    def of(cls, run: RunDirectory) -> ClipRun:
        """Read a run's ``config.json``; the model is loaded later.

        Raises:
            RequestError: if it is damaged.
        """
        trained_on = run.training_data()
        assert trained_on is not None
        view = FramesKind().view(trained_settings(run)).judged()
        try:
            return cls(run, trained_on, FrameFormat.of(trained_on), view)
        except (LookupError, TypeError, ValueError) as error:
            raise RequestError(f"{run.config_path} is damaged; restore it or train again") from error

    def answers(
        self, windows: Iterable[Window], batch_size: int
    ) -> Iterator[tuple[list[Window], Probabilities]]:
        """Load the model, and yield batches of windows with the probabilities of the classes, (n, N).

        The last batch may be smaller; all are of one size for the model, which is compiled once.

        Args:
            windows: in the order of the answers.
            batch_size: largest number of windows in a batch.

        Raises:
            RequestError: if there is no model.
            WorkError: if the device fails or the answers are not finite.
        """
        model = self._model()
        batches = _batches(windows, batch_size)
        first = next(batches, None)
        if first is None:
            return
        with device_errors_explained():
            # A first batch that is smaller is the only one.
            yield from answers_in_order(chain([first], batches), _features, model, len(first))

    def _model(self) -> keras.Model:
        classifier = load_trained_model(self.run).classifier
        inputs = clip_inputs(self.view.num_frames, self.view.shown_shape(self.form.shape))
        return compile_for_inference(keras.Model(inputs, classifier(inputs), name="video_classifier"))


def _batches(windows: Iterable[Window], size: int) -> Iterator[list[Window]]:
    left = iter(windows)
    while batch := list(islice(left, size)):
        yield batch


def _features(batch: list[Window]) -> dict[str, npt.NDArray[Any]]:
    return {
        "frames": np.stack([window.frames for window in batch]),
        "length": np.array([window.length for window in batch], np.int32),
    }
