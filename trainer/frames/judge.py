"""Judges classifiers of clips: on one window of every record or several, and on one frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import answers_by_frame, copy_weights
from model.frames import clip_inputs
from pipeline.command_line.errors import RequestError
from pipeline.command_line.progress import Progress
from trainer.evaluation.n_classes.by_share import NUM_SHARES
from trainer.evaluation.n_classes.document import number_names, results
from trainer.evaluation.n_classes.evidence import Answers, ClassEvidence
from trainer.evaluation.scoring import answers_in_order
from trainer.evaluation.slices import Slicing
from trainer.input.batches import sequential_batches
from trainer.input.frame_view import FrameView
from trainer.input.name_damaged_records import damage_named
from trainer.input.split_files import SplitFiles
from trainer.run.trained_model import TrainedModel, compile_for_inference
from trainer.tasks.judging import Judge, Judgement, JudgingRequest

_Features = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Batch:
    """Records to score: place of the first in the pass, features as NumPy arrays, and labels."""

    start: int
    features: _Features
    labels: npt.NDArray[np.int64]


class ClassJudge(Judge):
    """See `Judge`.

    Args:
        view: how clips were shown to the models in training.
        files: the split.
        request: the request.
        slicings: the slicings to count by, by name.

    Raises:
        RequestError: if the request does not fit the view, or has what is of moving lines.
    """

    def __init__(
        self,
        view: FrameView,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> None:
        request.refuse("is of moving lines, whose pixels are 0 or 1", "flips")
        request.refuse("is of captions, the model answers with classes", "beam", "length_penalty")
        if request.crops is not None and request.crops > 1 and view.crop is None:
            raise RequestError(
                f"--crops {request.crops}: the model was trained on whole frames; leave it out"
            )
        self._view = view
        self._files = files
        self._request = request
        self._slicings = slicings
        self._every_frame: keras.Model | None = None
        self._model: keras.Model | None = None

    def number_names(self) -> list[str]:
        """See `Judge.number_names`."""
        return number_names(
            self._files.spec.class_names,
            self._slicings,
            by_share=True,
            single_frame=self._request.single_frame,
        )

    def judge(self, trained: TrainedModel) -> Judgement:
        """See `Judge.judge`."""
        self._take(trained.classifier)
        windows, places = self._request.views or 1, self._request.crops or 1
        evidence = self._evidence()
        # The view in the middle first: it is the one that is looked at frame by frame.
        middle = windows // 2 * places + places // 2
        for place, number in enumerate(sorted(range(windows * places), key=lambda each: each != middle)):
            view = self._view.judged(number, windows, places)
            label = f"evaluating {self._request.split}" + (f", view {place + 1}" if place else "")
            self._pass(replace(view, has_names=not place), evidence, label, is_first=not place)
        single = None
        if self._request.single_frame:
            single = self._evidence()
            view = replace(self._view.judged(), is_single=True, has_names=True)
            label = f"evaluating {self._request.split}, one frame"
            self._pass(view, single, label, is_first=True)
        passes = windows * places + (single is not None)
        return Judgement(evidence, results(evidence, single, windows * places), passes)

    def _take(self, classifier: keras.Model) -> None:
        """Build the model with an answer after every frame, or copy weights into it."""
        if self._every_frame is not None:
            copy_weights(classifier, self._every_frame)
            return
        self._every_frame = answers_by_frame(classifier)
        shape = self._view.shown_shape(self._files.spec.frame_shape)
        inputs = clip_inputs(self._view.num_frames, shape)
        model = keras.Model(inputs, self._every_frame(inputs), name="video_classifier")
        self._model = compile_for_inference(model)

    def _evidence(self) -> ClassEvidence:
        return ClassEvidence(self._files.num_sequences, self._files.spec.class_names, self._slicings)

    def _pass(self, view: FrameView, evidence: ClassEvidence, progress_label: str, *, is_first: bool) -> None:
        """Read the split once, and add the answers."""
        assert self._model is not None
        files = self._files.shown(view)
        size = min(self._request.batch_size, files.num_sequences)
        with Progress(progress_label, files.num_sequences) as progress, damage_named(files):
            answered = answers_in_order(
                _batches(files, size),
                lambda batch: {name: batch.features[name] for name in ("frames", "length")},
                self._model,
                size,
            )
            for batch, answers in answered:
                lengths = batch.features["length"].astype(np.int64)
                last = answers[np.arange(len(lengths)), lengths - 1].astype(np.float32)
                if is_first:
                    evidence.add(self._answers(batch, answers, lengths, last))
                else:
                    evidence.add_view(batch.start, last)
                progress.set(batch.start + len(last))

    def _answers(
        self,
        batch: _Batch,
        answers: npt.NDArray[np.floating[Any]],
        lengths: npt.NDArray[np.int64],
        last: npt.NDArray[np.float32],
    ) -> Answers:
        features, count = batch.features, len(lengths)
        numbers = np.arange(batch.start, batch.start + count)
        if self._files.numbers is not None:
            numbers = self._files.numbers[numbers]
        # After a share of the frames: rounded up, so that it is at least one.
        shares = -(-lengths[:, None] * np.arange(1, NUM_SHARES + 1) // NUM_SHARES) - 1
        return Answers(
            numbers,
            batch.labels,
            last,
            answers[np.arange(count)[:, None], shares].astype(np.float32),
            features["stored_length"].astype(np.int64),
            [name.decode(errors="replace") for name in features["clip"]],
            [name.decode(errors="replace") for name in features["group"]],
            features["frames"],
            lengths,
        )


def _batches(files: SplitFiles, size: int) -> Iterator[_Batch]:
    start = 0
    for features, labels in sequential_batches(files, batch_size=size).as_numpy_iterator():
        yield _Batch(start, features, labels[:, 0].astype(np.int64))
        start += len(labels)
