"""Predicts single sequences, from a data set or fresh from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.lines import CLASS_NAMES, Int64Array, Uint8Array, draw_frames, sample_sequences
from pipeline.program import RequestError
from trainer.datasets import damage_named, read_manifest, split_files
from trainer.input_pipeline import sequential_batches
from trainer.run_directory import RunDirectory
from trainer.scoring import check_image_size, compile_for_inference

# Fresh sequences come from a split of their own, so none of them was trained on.
FRESH_SPLIT = "predict"


@dataclass(frozen=True)
class Predictions:
    """Sequences and what the model says of them.

    Attributes:
        frames: uint8 (n, S, S, S, 1).
        labels: int64 (n,), 0 = left, 1 = right.
        right: probability of "right", float64 (n,).
    """

    frames: Uint8Array
    labels: Int64Array
    right: npt.NDArray[np.float64]

    def verdicts(self) -> list[str]:
        """A line a sequence, with the probability of the class that was predicted."""
        lines = []
        for label, right in zip(self.labels, self.right, strict=True):
            predicted = int(right > 0.5)
            probability = right if predicted else 1 - right
            expected, name = CLASS_NAMES[label].capitalize(), CLASS_NAMES[predicted].capitalize()
            lines.append(f"Expected: {expected}, Predicted: {name} (probability {probability:.4f})")
        return lines


def predict(
    model_dir: str,
    num_sequences: int,
    first: int,
    *,
    data_dir: str | None = None,
    split: str = "test",
    seed: int = 0,
) -> Predictions:
    """Predict sequences ``first`` .. ``first + num_sequences - 1``.

    Args:
        model_dir: the run directory of a finished training.
        data_dir: a data set to take them from; None makes fresh ones from ``seed``.
        split: of the data set.

    Raises:
        RequestError: if the request is wrong.
    """
    classifier, _ = RunDirectory(model_dir).load_classifier()
    if data_dir is None:
        image_size = classifier.input_shape[2]
        frames = _frames(*sample_sequences(seed, FRESH_SPLIT, image_size, first, num_sequences))
    else:
        frames = _read(data_dir, split, first, num_sequences)
    check_image_size(classifier, frames[0].shape[2])
    right = compile_for_inference(classifier).predict(frames[0], verbose=0)[:, 0].astype(np.float64)
    return Predictions(*frames, right)


def _frames(paths: Uint8Array, labels: Int64Array) -> tuple[Uint8Array, Int64Array]:
    return draw_frames(paths, labels), labels


def _read(data_dir: str, split: str, first: int, count: int) -> tuple[Uint8Array, Int64Array]:
    files = split_files(data_dir, read_manifest(data_dir), split)
    if first + count > files.num_sequences:
        raise RequestError(
            f"sequences {first} to {first + count - 1} of split {split}: {data_dir} has {files.num_sequences}"
        )
    wanted = sequential_batches(files, batch_size=count, first=first).take(1)
    with damage_named(files):
        features, labels = next(iter(wanted.as_numpy_iterator()))
    labels = labels[:, 0].astype(np.int64)
    return (features["frames"], labels) if "frames" in features else _frames(features["path"], labels)
