"""Predicts sequences of a data set, or new ones sampled from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.dataset.features import decode
from pipeline.dataset.reader import Dataset
from trainer.dataset_kinds import kind_of
from trainer.distributed.device_errors import device_errors_explained
from trainer.input.batches import sequential_batches
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.fetched_shards import tensorflow_reads
from trainer.input.name_damaged_records import damage_named
from trainer.input.split_files import read_manifest, split_files
from trainer.moving_line.kind import MovingLineKind, verdict
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import (
    TrainedModel,
    compile_for_inference,
    load_trained_model,
)
from trainer.tasks.trainable_kind import Features, Labels, trainable_kind

# A split of its own, so that no training has seen these sequences.
FRESH_SPLIT = "predict"


@dataclass(frozen=True)
class Predictions:
    """Sequences and the model's answers.

    Attributes:
        spec: of the data set that the sequences are of.
        frames: frames as shown to the model, uint8 (n, timesteps, S, S, 1).
        labels: number of the class, int64 (n,).
        right: probability of class 1, float64 (n,).
    """

    spec: DatasetSpec
    frames: npt.NDArray[np.uint8]
    labels: Labels
    right: npt.NDArray[np.float64]

    def verdicts(self) -> list[str]:
        """A line per sequence, with the probability of the predicted class."""
        names = self.spec.class_names
        return [verdict(names, *answer) for answer in zip(self.labels, self.right, strict=True)]

    @property
    def palette(self) -> Sequence[str]:
        """Colours of the pixels' values 0, 1, ..."""
        return MovingLineKind.palette


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
    run = RunDirectory(model_dir)
    trained = load_trained_model(run)
    if data_dir is None:
        spec, features, labels = MovingLineKind().fresh(
            trained.image_size, seed, FRESH_SPLIT, first, num_sequences
        )
    else:
        spec, features, labels = _read(data_dir, split, first, num_sequences, trained)
    frames = _observe(spec, features, first, trained)
    right = compile_for_inference(trained.classifier).predict(frames, verbose=0)[:, 0].astype(np.float64)
    return Predictions(spec, frames, labels, right)


def _observe(
    spec: DatasetSpec, features: Features, first: int, trained: TrainedModel
) -> npt.NDArray[np.uint8]:
    """The frames that the model is shown of stored sequences: uint8 (n, timesteps, S, S, 1)."""
    inputs, frames = MovingLineKind().observed_frames(spec, trained.observation)
    count = len(next(iter(features.values())))
    numbers = np.array([number % 2**32 for number in range(first, first + count)], np.uint32)
    known = {**features, "number": numbers}
    observed = keras.Model(inputs, frames)({name: known[name] for name in inputs})
    return np.asarray(keras.ops.convert_to_numpy(observed))


def _read(
    data_dir: str, split: str, first: int, count: int, trained: TrainedModel
) -> tuple[DatasetSpec, Features, Labels]:
    manifest = read_manifest(data_dir)
    spec = DatasetSpec.of(manifest)
    trainable_kind(spec).check_trainable(spec, data_dir)
    spec.check_split(split)
    trainable_kind(spec).check_fits({"image_size": trained.image_size}, spec)
    if not tensorflow_reads(data_dir):
        features = _decoded(Dataset(data_dir, manifest), spec, split, first, count)
        return spec, features, features[str(spec.target)].astype(np.int64)
    files = split_files(data_dir, manifest, split)
    if first + count > files.num_sequences:
        raise RequestError(
            f"sequences {first} to {first + count - 1} of split {split}: {data_dir} has {files.num_sequences}"
        )
    wanted = sequential_batches(files, batch_size=count, first=first).take(1)
    with damage_named(files):
        features, labels = next(iter(wanted.as_numpy_iterator()))
    return spec, features, labels[:, 0].astype(np.int64)


def _decoded(dataset: Dataset, spec: DatasetSpec, split: str, first: int, count: int) -> Features:
    """Read some sequences where TensorFlow cannot."""
    check = kind_of(spec.name).records(spec).check
    examples = []
    for number, payload in enumerate(dataset.read(split, first, count), first):
        try:
            check(payload)
            examples.append(decode(spec.features, payload))
        except ValueError as error:
            where = f"{dataset.directory}: sequence {number} of split {split}"
            raise WorkError(f"{where}: {one_line(error)}") from error
    return {name: np.stack([example[name] for example in examples]) for name in spec.features}
