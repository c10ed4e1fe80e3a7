"""Runs a classifier of lines over all sequences of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import Observation, answers_by_frame
from model.moving_line import sequence_answers
from pipeline.command_line.progress import Progress
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.scoring import answers_in_order
from trainer.evaluation.slices import Slicing
from trainer.input.batches import sequential_batches
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.name_damaged_records import damage_named
from trainer.input.split_files import SplitFiles
from trainer.moving_line.records import batch_encoding, image_size_of
from trainer.run.trained_model import TrainedModel, compile_for_inference
from trainer.tasks.trainable_kind import Labels, traced_kind


@dataclass(frozen=True)
class _Batch:
    """Sequences to score: numbers in the split, features as NumPy arrays, labels and traces."""

    numbers: npt.NDArray[np.int64]
    features: dict[str, npt.NDArray[Any]]
    labels: Labels
    traces: npt.NDArray[np.uint8]


class Scorer:
    """A classifier with an answer after each frame, built once for any number of splits and weights.

    Args:
        trained: the model.
        spec: of the data set; its sequences must have the image size of the model.
        observation: how sequences are shown to the model.
    """

    def __init__(self, trained: TrainedModel, spec: DatasetSpec, observation: Observation) -> None:
        self._kind = traced_kind(spec)
        self._every_frame = answers_by_frame(trained.classifier)
        size, encoding = image_size_of(spec), batch_encoding(spec)
        inputs, answers = sequence_answers(self._every_frame, size, encoding, observation)
        self._model = compile_for_inference(keras.Model(inputs, answers, name="sequence_classifier"))
        self._needs_numbers = observation.is_random
        self._num_frames = observation.window or size

    def set_weights(self, classifier: keras.Model) -> None:
        """Copy the weights of another classifier of the same architecture."""
        self._every_frame.set_weights(classifier.get_weights())

    def score(
        self, files: SplitFiles, batch_size: int, slicings: Mapping[str, Slicing], progress_label: str
    ) -> Evidence:
        """Collect the answers to all sequences of a split.

        Args:
            files: the split.
            batch_size: number of sequences in a batch; the last batch may have fewer.
            slicings: the slicings to count by, by name.
            progress_label: shown in front of the progress.

        Raises:
            WorkError: if a shard is damaged or the answers are not finite.
        """
        evidence = Evidence(files.num_sequences, self._num_frames, files.spec, slicings)
        size = min(batch_size, files.num_sequences)
        with Progress(progress_label, files.num_sequences) as progress, damage_named(files):
            answered = answers_in_order(
                self._batches(files, batch_size), lambda batch: batch.features, self._model, size
            )
            for batch, answers in answered:
                evidence.add(batch.numbers, answers[:, :, 0], batch.labels, batch.traces)
                progress.set(evidence.num_sequences)
        return evidence

    def _batches(self, files: SplitFiles, batch_size: int) -> Iterator[_Batch]:
        start = 0
        for features, expected in sequential_batches(files, batch_size=batch_size).as_numpy_iterator():
            stop = start + len(expected)
            numbers = np.arange(start, stop) if files.numbers is None else files.numbers[start:stop]
            if self._needs_numbers:
                features["number"] = (numbers % 2**32).astype(np.uint32)
            labels = expected[:, 0].astype(np.int64)
            start = stop
            yield _Batch(numbers, features, labels, self._kind.traces(features, labels))
