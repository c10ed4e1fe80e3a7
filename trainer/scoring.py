"""Runs a classifier over the sequences of a split."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from model import with_sequence_inputs
from pipeline.lines import Int64Array
from pipeline.program import RequestError, WorkError
from pipeline.progress import Progress
from trainer.datasets import SplitFiles, damage_named
from trainer.input_pipeline import sequential_batches
from trainer.trained_model import TrainedModel


@dataclass(frozen=True)
class Scores:
    """The classifier's answers.

    Attributes:
        right: probability of "right", float64 (n,).
        labels: int64 (n,), 0 = left, 1 = right.
    """

    right: npt.NDArray[np.float64]
    labels: Int64Array


def compile_for_inference(model: keras.Model) -> keras.Model:
    """Compile without XLA on TensorFlow, where it halves this model's speed on a CPU."""
    model.compile(jit_compile=keras.backend.backend() != "tensorflow")
    return model


def score_split(trained: TrainedModel, files: SplitFiles, batch_size: int, what: str) -> Scores:
    """Score every sequence of a split, to the last, as the model was trained to see them.

    Args:
        trained: of the split's image size.
        files: the split.
        batch_size: sequences a batch; the last batch is what is left.
        what: named in front of the progress.

    Raises:
        RequestError: if the classifier is of another image size.
        WorkError: if a shard is damaged or the answers are not finite.
    """
    check_image_size(trained, files.image_size)
    model = compile_for_inference(
        with_sequence_inputs(trained.classifier, files.image_size, files.encoding.name, trained.observation)
    )
    right, labels = np.empty(files.num_sequences), np.empty(files.num_sequences, np.int64)
    start = 0
    with Progress(what, files.num_sequences) as progress:
        batches = sequential_batches(files, batch_size=batch_size)
        with damage_named(files):
            for features, expected in batches.as_numpy_iterator():  # Both backends take NumPy arrays.
                stop = start + len(expected)
                if trained.observation.is_random:
                    features["number"] = np.arange(start, stop, dtype=np.uint32)
                right[start:stop] = model.predict_on_batch(features)[:, 0]
                labels[start:stop] = expected[:, 0]
                progress.set(stop)
                start = stop
    if not np.isfinite(right).all():
        raise WorkError("the model's answers are not finite numbers: its training diverged; train again")
    return Scores(right, labels)


def check_image_size(trained: TrainedModel, image_size: int) -> None:
    """Refuse sequences of another size than the classifier was trained on.

    Raises:
        RequestError: naming both sizes.
    """
    if trained.image_size != image_size:
        raise RequestError(
            f"the model was trained on images of size {trained.image_size}, the sequences have size"
            f" {image_size}; name a matching --model_dir or --data_dir"
        )
