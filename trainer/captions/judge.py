"""Judges models that describe clips: what they write, and how well they foresee the captions of the data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import copy_weights
from model.captions import PAD
from pipeline.command_line.progress import Progress
from trainer.captions.caption_counts import stored_captions
from trainer.captions.captioning import CaptionModels, Decoding
from trainer.dataset_kinds import kind_of
from trainer.evaluation.captions.document import Writing, number_names, results
from trainer.evaluation.captions.evidence import CaptionAnswers, CaptionEvidence
from trainer.evaluation.captions.metrics import TokenSums, shuffled_places
from trainer.evaluation.captions.words import common_words
from trainer.evaluation.scoring import answers_in_order
from trainer.evaluation.slices import Slicing
from trainer.input.batches import sequential_batches
from trainer.input.dataset_spec import CAPTION
from trainer.input.frame_view import FrameView
from trainer.input.name_damaged_records import damage_named
from trainer.input.split_files import SplitFiles
from trainer.run.trained_model import TrainedModel
from trainer.tasks.judging import Judge, Judgement, JudgingRequest

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Batch:
    """Records: place of the first in the pass, features, and labels (n, 1), or (n, 0) without classes."""

    start: int
    features: dict[str, _Array]
    labels: _Array

    @property
    def references(self) -> list[list[str]]:
        """The captions of every record."""
        return [text.decode(errors="replace").split("\n") for text in self.features[CAPTION]]


class _Memory:
    """What is kept of every clip, on disk: its states, and the tokens of its first caption."""

    def __init__(self, directory: str, num_clips: int, models: CaptionModels) -> None:
        shapes = {name: each.shape[1:] for name, each in models.scorer.input.items()}
        dtypes = {name: "float32" if name == "states" else "int32" for name in shapes}
        self.arrays = {
            name: np.memmap(Path(directory, name), dtypes[name], "w+", shape=(num_clips, *shape))
            for name, shape in shapes.items()
        }

    def set(self, start: int, **values: _Array) -> None:
        """Keep what is of consecutive clips."""
        for name, rows in values.items():
            self.arrays[name][start : start + len(rows)] = rows


class CaptionJudge(Judge):
    """See `Judge`.

    Captions of the data are scored with the first caption of every clip, also with the clips shuffled: a
    decoder that ignores what it is shown is as good at that.

    Args:
        view: how clips were shown to the models in training.
        max_words: most words of a caption.
        files: the split.
        request: the request.
        slicings: the slicings to count by, by name.

    Raises:
        RequestError: if the request has what is not of captions.
    """

    def __init__(
        self,
        view: FrameView,
        max_words: int,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> None:
        request.refuse("is of moving lines and their classes", "flips")
        request.refuse("is of classes, the model writes captions", "views", "crops", "single_frame")
        default = Decoding()
        self._decoding = Decoding(
            default.beam if request.beam is None else request.beam,
            default.length_penalty if request.length_penalty is None else request.length_penalty,
        )
        self._view = replace(view.judged(), has_names=True)
        self._max_words = max_words
        self._files = files.shown(self._view)
        self._request = request
        self._slicings = slicings
        self._brighter = np.uint8(255 // kind_of(files.spec.name).white)
        self._size = min(request.batch_size, files.num_sequences)
        self._captioner: keras.Model | None = None
        self._models: CaptionModels | None = None

    def number_names(self) -> list[str]:
        """See `Judge.number_names`."""
        captions = stored_captions(self._files.spec, self._files.paths)
        words = common_words([[text.decode() for text in texts] for texts in captions])
        several = self._files.num_sequences > 1
        return number_names(self._slicings, self._max_words, words, shuffled=several)

    def judge(self, trained: TrainedModel) -> Judgement:
        """See `Judge.judge`."""
        models = self._taken(trained)
        evidence = CaptionEvidence(self._files.num_sequences, self._slicings)
        with tempfile.TemporaryDirectory() as directory:
            memory = _Memory(directory, self._files.num_sequences, models)
            self._write(models, memory, evidence)
            places = np.arange(self._files.num_sequences)
            tokens = self._score(models, memory, places, "scoring captions")
            shuffled_tokens = None
            if (shuffled := shuffled_places(len(places))) is not None:
                shuffled_tokens = self._score(models, memory, shuffled, "scoring captions of other clips")
        vocabulary = models.vocabulary
        writing = Writing(
            len(vocabulary.words),
            vocabulary.sha256,
            self._max_words,
            self._decoding.beam,
            self._decoding.length_penalty,
        )
        return Judgement(evidence, results(evidence, writing, tokens, shuffled_tokens), passes=1)

    def _taken(self, trained: TrainedModel) -> CaptionModels:
        """The models of a captioner: made once, later ones give their weights."""
        if self._models is None or self._captioner is None:
            self._captioner = trained.classifier
            self._models = CaptionModels(trained, self._view.num_frames, self._decoding)
        else:
            copy_weights(trained.classifier, self._captioner)
        return self._models

    def _write(self, models: CaptionModels, memory: _Memory, evidence: CaptionEvidence) -> None:
        """Read the split once, and write captions."""
        files, label = self._files, f"evaluating {self._request.split}"
        with Progress(label, files.num_sequences) as progress, damage_named(files):
            answered = answers_in_order(
                _batches(files, self._size),
                lambda batch: {name: batch.features[name] for name in ("frames", "length")},
                models.writer,
                self._size,
            )
            for batch, written in answered:
                references = batch.references
                evidence.add(self._answers(batch, references, written, models))
                tokens = np.array([models.vocabulary.tokens(texts[0]) for texts in references], np.int32)
                kept = {name: written[name] for name in ("states", "memory_length")}
                memory.set(batch.start, **kept, tokens=tokens)
                progress.set(batch.start + len(tokens))

    def _answers(
        self, batch: _Batch, references: list[list[str]], written: dict[str, _Array], models: CaptionModels
    ) -> CaptionAnswers:
        features, count = batch.features, len(references)
        numbers = np.arange(batch.start, batch.start + count)
        if self._files.numbers is not None:
            numbers = self._files.numbers[numbers]
        has_classes = self._files.spec.target is not None
        return CaptionAnswers(
            numbers=numbers,
            predicted=[models.vocabulary.text(tokens) for tokens in written["tokens"]],
            log_probabilities=written["log_probability"].astype(np.float64),
            references=references,
            labels=batch.labels[:, 0].astype(np.int64) if has_classes else np.full(count, -1),
            stored_lengths=features["stored_length"].astype(np.int64),
            clips=[name.decode(errors="replace") for name in features["clip"]],
            groups=[name.decode(errors="replace") for name in features["group"]],
            frames=features["frames"] * self._brighter,
            length=features["length"],
        )

    def _score(
        self, models: CaptionModels, memory: _Memory, places: npt.NDArray[np.int64], label: str
    ) -> TokenSums:
        """Score the first caption of clip ``places[i]`` for what is kept of clip i."""
        states, length, tokens = (memory.arrays[name] for name in ("states", "memory_length", "tokens"))
        sums = TokenSums()

        def batches() -> Iterator[dict[str, _Array]]:
            for start in range(0, len(places), self._size):
                part = slice(start, start + self._size)
                yield {
                    "states": np.asarray(states[part]),
                    "memory_length": np.asarray(length[part]),
                    "tokens": np.asarray(tokens[places[part]]),
                }

        with Progress(label, len(places)) as progress:
            done = 0
            for batch, scores in answers_in_order(batches(), dict, models.scorer, self._size):
                sums += TokenSums(
                    int((batch["tokens"] != PAD).sum()),
                    int(scores["is_top"].sum()),
                    -float(scores["log_probabilities"].astype(np.float64).sum()),
                )
                done += len(batch["tokens"])
                progress.set(done)
        return sums


def _batches(files: SplitFiles, size: int) -> Iterator[_Batch]:
    start = 0
    for features, labels in sequential_batches(files, batch_size=size).as_numpy_iterator():
        yield _Batch(start, features, labels)
        start += len(features["length"])
