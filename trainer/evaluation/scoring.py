"""Runs a classifier over all sequences of a split."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import Observation, answers_by_frame
from pipeline.command_line.progress import Progress
from trainer.distributed.devices import num_parallel_batches
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.slices import Slicing
from trainer.input.batches import sequential_batches
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.name_damaged_records import damage_named
from trainer.input.split_files import SplitFiles
from trainer.run.trained_model import TrainedModel, check_finite, compile_for_inference
from trainer.tasks.registry import task_of
from trainer.tasks.trainable_kind import Labels, trainable_kind

_Answers = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Batch:
    """Sequences to score: numbers in the split, features as NumPy arrays, labels and traces."""

    numbers: npt.NDArray[np.int64]
    features: dict[str, npt.NDArray[Any]]
    labels: Labels
    traces: npt.NDArray[np.uint8]


class Scorer:
    """A classifier with an answer after each frame, built once for any number of splits and weights.

    Computes `trainer.distributed.devices.num_parallel_batches` batches in parallel.

    Args:
        trained: the model.
        spec: of the data set; its sequences must have the image size of the model.
        observation: how sequences are shown to the model.
    """

    def __init__(self, trained: TrainedModel, spec: DatasetSpec, observation: Observation) -> None:
        self._kind = trainable_kind(spec)
        self._every_frame = answers_by_frame(trained.classifier)
        inputs, answers = self._kind.stored_answers(self._every_frame, spec, observation)
        self._model = compile_for_inference(keras.Model(inputs, answers, name="sequence_classifier"))
        self._needs_numbers = observation.is_random
        self._num_frames = observation.window or self._kind.image_size(spec)

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
        evidence = task_of(files.spec).evidence(files.num_sequences, self._num_frames, slicings)
        max_pending = num_parallel_batches()
        size = min(batch_size, files.num_sequences)
        with (
            Progress(progress_label, files.num_sequences) as progress,
            ThreadPoolExecutor(max_pending) as pool,
        ):
            pending: deque[tuple[_Batch, Future[_Answers]]] = deque()

            def take_first() -> None:
                batch, answers = pending.popleft()
                evidence.add(batch.numbers, answers.result(), batch.labels, batch.traces)
                progress.set(evidence.num_sequences)

            with damage_named(files):
                for batch in self._batches(files, batch_size):
                    pending.append((batch, pool.submit(self._answers, batch.features, size)))
                    if len(pending) == 1 and not evidence.num_sequences:
                        take_first()  # The first batch compiles the model; two must not do so in parallel.
                    elif len(pending) > max_pending:
                        take_first()
            while pending:
                take_first()
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

    def _answers(self, features: dict[str, npt.NDArray[Any]], size: int) -> _Answers:
        count = len(next(iter(features.values())))
        if count < size:  # Pad the batch: another size would compile the model again.
            places = np.minimum(np.arange(size), count - 1)
            features = {name: values[places] for name, values in features.items()}
        answers: _Answers = self._model.predict_on_batch(features)[:count, :, 0]
        check_finite(answers)
        return answers
