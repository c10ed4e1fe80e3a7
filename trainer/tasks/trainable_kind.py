"""What a kind of data set provides that models are trained on and judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from model import Observation
from pipeline.dataset.manifest import Manifest
from trainer.dataset_kinds import DEFAULT, Kind, kind_of
from trainer.evaluation.slices import Slicing
from trainer.input.dataset_spec import DatasetSpec
from trainer.run.run_directory import RunDirectory

Features = Mapping[str, npt.NDArray[Any]]
Labels = npt.NDArray[np.int64]


class TrainableKind(Kind, ABC):
    """A kind whose examples stand for square frames of one channel, which a classifier sees.

    Slicings and pictures take an example in the form that tells it in the fewest bytes, here called its
    **trace**.

    Attributes:
        palette: colours of the pixels' values 0, 1, ...
    """

    palette: ClassVar[Sequence[str]]

    @abstractmethod
    def image_size(self, spec: DatasetSpec) -> int:
        """Height and width of the frames in pixels, S."""

    @abstractmethod
    def stored_answers(
        self, classifier: keras.Model, spec: DatasetSpec, observation: Observation
    ) -> tuple[dict[str, Any], Any]:
        """Symbolic inputs as batches hold them, and what a classifier of frames answers, with its weights."""

    @abstractmethod
    def observed_frames(self, spec: DatasetSpec, observation: Observation) -> tuple[dict[str, Any], Any]:
        """Symbolic inputs as batches hold them, and the frames that a classifier sees of them."""

    @abstractmethod
    def described(self, model: keras.Model) -> str:
        """What a model of `stored_answers` looks at, for people."""

    @abstractmethod
    def trace_shape(self, spec: DatasetSpec) -> tuple[int, ...]:
        """Shape of a trace, which is uint8."""

    @abstractmethod
    def traces(self, features: Features, labels: Labels) -> npt.NDArray[np.uint8]:
        """Traces of a batch, (n, ...), from its features and labels (n,)."""

    @abstractmethod
    def frames(self, traces: npt.NDArray[np.uint8], labels: Labels) -> npt.NDArray[np.uint8]:
        """Whole frames of traces, (n, T, S, S, 1)."""

    @abstractmethod
    def slicings(self) -> dict[str, Slicing]:
        """The slicings of this kind, by name; they take traces and labels."""

    @abstractmethod
    def fresh(
        self, image_size: int, seed: int, split: str, first: int, count: int
    ) -> tuple[DatasetSpec, Features, Labels]:
        """New examples from a seed.

        Args:
            image_size: S.
            seed: decides them.
            split: other names give other examples.
            first: number of the first one.
            count: how many.

        Returns:
            A data set that would hold them, and their features and labels, (n,).
        """

    @abstractmethod
    def same_sample(self, trained_on: Mapping[str, Any], manifest: Manifest, split: str) -> bool:
        """Whether settings tell that a split has examples that a training saw.

        Args:
            trained_on: what ``config.json`` says of the training's data set.
            manifest: of the data set.
            split: name of the split.
        """

    @abstractmethod
    def config(self, manifest: Manifest) -> dict[str, Any]:
        """The settings that ``config.json`` names of a data set."""


def trainable_kind(spec: DatasetSpec) -> TrainableKind:
    """The kind of a data set; `trainer.tasks.registry.check_trainable` has found that it is one."""
    return _trainable(spec.name)


def trained_kind(run: RunDirectory) -> TrainableKind:
    """The kind of data set that a run's models were trained on.

    Raises:
        RequestError: if ``config.json`` is damaged.
    """
    return _trainable((run.training_data() or {}).get("name", DEFAULT))


def _trainable(name: str) -> TrainableKind:
    kind = kind_of(name)
    assert isinstance(kind, TrainableKind)
    return kind
