"""Predicts sequences of a data set, or new ones sampled from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model.moving_line import observed_frames
from pipeline.command_line.errors import RequestError
from pipeline.dataset.reader import Dataset
from pipeline.moving_line.lines import CLASS_NAMES, Int64Array, Uint8Array, sample_sequences
from pipeline.moving_line.reading import read_lines
from trainer.distributed.device_errors import device_errors_explained
from trainer.input.batches import sequential_batches
from trainer.input.damaged_records import damage_named
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.fetched_shards import tensorflow_reads
from trainer.input.split_files import read_manifest, split_files
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import (
    TrainedModel,
    check_image_size,
    compile_for_inference,
    load_trained_model,
)
from trainer.tasks.learned_kind import learned_kind
from trainer.tasks.registry import check_learned

# A split of its own, so that no training has seen these sequences.
FRESH_SPLIT = "predict"


@dataclass(frozen=True)
class Predictions:
    """Sequences and the model's answers.

    Attributes:
        frames: frames as shown to the model, uint8 (n, timesteps, S, S, 1).
        labels: int64 (n,), 0 = left, 1 = right.
        right: probability of "right", float64 (n,).
    """

    frames: Uint8Array
    labels: Int64Array
    right: npt.NDArray[np.float64]

    def verdicts(self) -> list[str]:
        """A line per sequence, with the probability of the predicted class."""
        lines = []
        for label, right in zip(self.labels, self.right, strict=True):
            predicted = int(right > 0.5)
            probability = right if predicted else 1 - right
            expected, name = CLASS_NAMES[label].capitalize(), CLASS_NAMES[predicted].capitalize()
            lines.append(f"Expected: {expected}, Predicted: {name} (probability {probability:.4f})")
        return lines


@device_errors_explained()
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
        num_sequences: number of sequences.
        first: number of the first one.
        data_dir: directory of a data set; None samples new sequences from ``seed``.
        split: name of the data set's split.
        seed: seed of new sequences.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if the data is damaged or the device fails.
    """
    trained = load_trained_model(RunDirectory(model_dir))
    if data_dir is None:
        paths, labels = sample_sequences(seed, FRESH_SPLIT, trained.image_size, first, num_sequences)
        features: dict[str, npt.NDArray[Any]] = {"path": paths, "label": labels}
    else:
        features, labels = _read(data_dir, split, first, num_sequences, trained)
    frames = _observe(features, first, trained)
    right = compile_for_inference(trained.classifier).predict(frames, verbose=0)[:, 0].astype(np.float64)
    return Predictions(frames, labels, right)


def _observe(features: dict[str, npt.NDArray[Any]], first: int, trained: TrainedModel) -> Uint8Array:
    """The frames that the model is shown of stored sequences: uint8 (n, timesteps, S, S, 1)."""
    encoding = "frames" if "frames" in features else "path"
    inputs, frames = observed_frames(trained.image_size, encoding, trained.observation)
    count = len(next(iter(features.values())))
    numbers = np.array([number % 2**32 for number in range(first, first + count)], np.uint32)
    known = {**features, "number": numbers}
    observed = keras.Model(inputs, frames)({name: known[name] for name in inputs})
    return np.asarray(keras.ops.convert_to_numpy(observed))


def _read(
    data_dir: str, split: str, first: int, count: int, trained: TrainedModel
) -> tuple[dict[str, npt.NDArray[Any]], Int64Array]:
    manifest = read_manifest(data_dir)
    spec = DatasetSpec.of(manifest)
    check_learned(spec, data_dir)
    spec.check_split(split)
    check_image_size(trained.image_size, learned_kind(spec).image_size(spec))
    if not tensorflow_reads(data_dir):
        paths, labels = read_lines(Dataset(data_dir, manifest), split, first, count)
        return {"path": paths, "label": labels}, labels
    files = split_files(data_dir, manifest, split)
    if first + count > files.num_sequences:
        raise RequestError(
            f"sequences {first} to {first + count - 1} of split {split}: {data_dir} has {files.num_sequences}"
        )
    wanted = sequential_batches(files, batch_size=count, first=first).take(1)
    with damage_named(files):
        features, labels = next(iter(wanted.as_numpy_iterator()))
    return features, labels[:, 0].astype(np.int64)
