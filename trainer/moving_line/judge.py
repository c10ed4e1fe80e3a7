"""Judges classifiers of lines, also with some of the pixels flipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from model import Observation
from pipeline.command_line.errors import RequestError
from trainer.evaluation.document import number_names, results
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.slices import Slicing
from trainer.input.split_files import SplitFiles
from trainer.moving_line.records import image_size_of
from trainer.moving_line.scoring import Scorer
from trainer.run.trained_model import TrainedModel
from trainer.tasks.judging import Judge, Judgement, JudgingRequest


class LineJudge(Judge):
    """See `Judge`.

    Args:
        observation: how sequences were shown to the models in training.
        files: the split.
        request: the request.
        slicings: the slicings to count by, by name.

    Raises:
        RequestError: if the request has what is of clips.
    """

    def __init__(
        self,
        observation: Observation,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> None:
        for name in ("views", "crops"):
            if getattr(request, name) is not None:
                raise RequestError(f"--{name}: moving lines have one view; leave it out")
        request.refuse("is of captions, the model answers with classes", "beam", "length_penalty")
        if request.single_frame:
            raise RequestError("--single_frame: a frame of a line does not tell its class; leave it out")
        self._observation = observation
        self._files = files
        self._request = request
        self._slicings = slicings
        self._scorers: dict[float, Scorer] = {}

    def number_names(self) -> list[str]:
        """See `Judge.number_names`."""
        frames = self._observation.window or image_size_of(self._files.spec)
        return number_names(frames, self._files.spec, self._slicings, self._request.flips)

    def judge(self, trained: TrainedModel) -> Judgement:
        """See `Judge.judge`."""
        label = f"evaluating {self._request.split}"
        evidence = self._score(trained, 0, label)
        under_flips = {
            rate: self._score(trained, rate, f"{label}, {rate:g} of pixels flipped") if rate else evidence
            for rate in self._request.flips
        }
        passes = 1 + sum(rate > 0 for rate in self._request.flips)
        return Judgement(evidence, results(evidence, under_flips), passes)

    def _score(self, trained: TrainedModel, flips: float, progress_label: str) -> Evidence:
        """Collect the answers to sequences as shown in training, with this share of pixels flipped too."""
        scorer = self._scorers.get(flips)
        if scorer is None:
            observation = replace(self._observation, flips=flips, flip_seed=self._request.seed)
            scorer = self._scorers[flips] = Scorer(trained, self._files.spec, observation)
        else:
            scorer.set_weights(trained.classifier)
        return scorer.score(self._files, self._request.batch_size, self._slicings, progress_label)
