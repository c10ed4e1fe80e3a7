"""Runs a classifier over the sequences of a split."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import Observation, answers_by_frame, with_sequence_inputs
from pipeline.command_line.progress import Progress
from pipeline.moving_line.encodings import Encoding
from pipeline.moving_line.lines import Int64Array, Uint8Array, paths_from_frames
from trainer.distributed.devices import num_parallel_batches
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.slices import Slicing
from trainer.input.batches import sequential_batches
from trainer.input.damaged_records import damage_named
from trainer.input.split_files import SplitFiles
from trainer.run.trained_model import TrainedModel, check_finite, compile_for_inference

_Answers = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class _Batch:
    """Sequences to score: numbers in the split, NumPy features for either backend, labels and paths."""

    numbers: Int64Array
    features: dict[str, npt.NDArray[Any]]
    labels: Int64Array
    paths: Uint8Array


class Scorer:
    """A classifier that answers after every frame, made once for any number of splits and weights.

    Several batches are worked on at once where `trainer.distributed.devices.num_parallel_batches` says so.

    Args:
        trained: the model.
        image_size: S of the sequences; that of the model.
        encoding: of their records.
        observation: what it gets to see of them.
    """

    def __init__(
        self, trained: TrainedModel, image_size: int, encoding: Encoding, observation: Observation
    ) -> None:
        self._every_frame = answers_by_frame(trained.classifier)
        self._model = compile_for_inference(
            with_sequence_inputs(self._every_frame, image_size, encoding.name, observation)
        )
        self._needs_numbers = observation.is_random
        self._num_frames = observation.window or image_size

    def take_weights(self, classifier: keras.Model) -> None:
        """Answer as another classifier of the same architecture from now on."""
        self._every_frame.set_weights(classifier.get_weights())

    def score(
        self, files: SplitFiles, batch_size: int, slicings: Mapping[str, Slicing], what: str
    ) -> Evidence:
        """Score every sequence of a split, to the last.

        Args:
            files: the split.
            batch_size: sequences a batch; the last batch is what is left.
            slicings: by which to count.
            what: named in front of the progress.

        Raises:
            WorkError: if a shard is damaged or the answers are not finite.
        """
        evidence = Evidence(files.num_sequences, self._num_frames, files.image_size, slicings)
        at_once = num_parallel_batches()
        size = min(batch_size, files.num_sequences)
        with Progress(what, files.num_sequences) as progress, ThreadPoolExecutor(at_once) as pool:
            under_way: deque[tuple[_Batch, Future[_Answers]]] = deque()

            def take_first() -> None:
                batch, answers = under_way.popleft()
                evidence.add(batch.numbers, answers.result(), batch.labels, batch.paths)
                progress.set(evidence.num_sequences)

            with damage_named(files):
                for batch in self._batches(files, batch_size):
                    under_way.append((batch, pool.submit(self._answers, batch.features, size)))
                    if len(under_way) == 1 and not evidence.num_sequences:
                        take_first()  # It compiles, which two must not do at once.
                    elif len(under_way) > at_once:
                        take_first()
            while under_way:
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
            yield _Batch(numbers, features, labels, _paths(features, labels))

    def _answers(self, features: dict[str, npt.NDArray[Any]], size: int) -> _Answers:
        count = len(next(iter(features.values())))
        if count < size:  # Filled up: the model would be compiled anew for another size.
            places = np.minimum(np.arange(size), count - 1)
            features = {name: values[places] for name, values in features.items()}
        answers: _Answers = self._model.predict_on_batch(features)[:count, :, 0]
        check_finite(answers)
        return answers


def _paths(features: dict[str, npt.NDArray[Any]], labels: Int64Array) -> Uint8Array:
    return features["path"] if "path" in features else paths_from_frames(features["frames"], labels)
