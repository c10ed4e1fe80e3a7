"""What a kind of data set provides that models are trained on and judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from pipeline.dataset.manifest import Manifest
from trainer.dataset_kinds import DEFAULT, Kind, describing_kind, kind_of
from trainer.evaluation.slices import Slicing
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_view import FrameView
from trainer.input.split_files import SplitFiles
from trainer.run.run_directory import RunDirectory
from trainer.tasks.judging import Judge, JudgingRequest
from trainer.training.settings import DESCRIBE, TrainingSettings

Features = Mapping[str, npt.NDArray[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Networks:
    """A classifier, and what is trained of it.

    Attributes:
        classifier: is saved; answers with probabilities.
        inputs: symbolic inputs by name, as batches hold them.
        logits: symbolic logits of the classifier for these inputs, with its weights.
        metrics: what a training shows besides the loss.
        loss: what a training makes small.
        saved_loss: name of the loss with which the classifier is compiled, so that its file also contains the
            optimizer.
    """

    classifier: keras.Model
    inputs: Any
    logits: Any
    metrics: list[keras.metrics.Metric]
    loss: keras.losses.Loss
    saved_loss: str


class TrainableKind(Kind, ABC):
    """A kind of data set that models are trained on.

    `trainer.moving_line.kind` is that of moving lines, `trainer.frames.kind` that of all others.
    """

    @abstractmethod
    def check_trainable(self, spec: DatasetSpec, data_dir: str) -> None:
        """Check that models can be trained on a data set, and judged by it.

        Raises:
            RequestError: if not, with the reason.
        """

    @abstractmethod
    def settled(
        self, settings: TrainingSettings, files: SplitFiles
    ) -> tuple[TrainingSettings, FrameView | None]:
        """The settings with the defaults of the kind, and what a training reads of every example; None: all.

        Args:
            settings: the request.
            files: the training split.

        Raises:
            RequestError: if one does not fit the kind or the data set, with its flag.
        """

    def check_validation(self, files: SplitFiles) -> None:
        """Check that trained models can be validated on a split.

        Raises:
            RequestError: if not, with the reason.
        """
        return

    def view(self, settings: TrainingSettings) -> FrameView | None:
        """How frames were shown in a training with these settings; None: whole examples."""
        return None

    @abstractmethod
    def networks(self, settings: TrainingSettings, files: SplitFiles) -> Networks:
        """Make the network of a run.

        Args:
            settings: as `settled` gave them.
            files: the training split, shown as `settled` says.

        Raises:
            RequestError: if the network cannot be made.
        """

    @abstractmethod
    def described(self, model: keras.Model) -> str:
        """What a model of `Networks.inputs` looks at, for people."""

    @abstractmethod
    def check_fits(self, trained_on: Mapping[str, Any], spec: DatasetSpec) -> None:
        """Check that models can answer to the examples of a data set.

        Args:
            trained_on: as `config` gave it.
            spec: of the data set.

        Raises:
            RequestError: if not, with the difference.
        """

    @abstractmethod
    def slicings(self, settings: TrainingSettings, spec: DatasetSpec) -> dict[str, Slicing]:
        """The slicings of this kind, by name."""

    @abstractmethod
    def judge(
        self,
        settings: TrainingSettings,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> Judge:
        """What judges models of a run on a split.

        Raises:
            RequestError: if the request does not fit the kind.
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
    def identity(self, spec: DatasetSpec) -> dict[str, Any]:
        """What a run's request names besides its settings and the data set's fingerprint."""

    @abstractmethod
    def config(self, manifest: Manifest) -> dict[str, Any]:
        """What ``config.json`` says of a data set besides its place and digests."""

    def write_files(self, run: RunDirectory, view: FrameView | None) -> None:
        """Write what a run directory holds of this kind besides ``config.json``."""
        return


class TracedKind(TrainableKind):
    """A kind of two classes whose slicings and pictures take an example in its smallest form, its **trace**.

    Attributes:
        palette: colours of the pixels' values 0, 1, ...
    """

    palette: ClassVar[Sequence[str]]

    @abstractmethod
    def trace_shape(self, spec: DatasetSpec) -> tuple[int, ...]:
        """Shape of a trace, which is uint8."""

    @abstractmethod
    def traces(self, features: Features, labels: Labels) -> npt.NDArray[np.uint8]:
        """Traces of a batch, (n, ...), from its features and labels (n,)."""

    @abstractmethod
    def frames(self, traces: npt.NDArray[np.uint8], labels: Labels) -> npt.NDArray[np.uint8]:
        """Whole frames of traces, (n, T, S, S, 1)."""


def trainable_kind(spec: DatasetSpec, task: str | None = None) -> TrainableKind:
    """The kind of a data set for a task.

    Args:
        spec: of the data set.
        task: one of `trainer.training.settings.TASKS`; None chooses: classify where there are class labels,
            else describe where there are captions.
    """
    if task is None and spec.target is None and spec.has_captions:
        task = DESCRIBE
    return _trainable(spec.name, task)


def traced_kind(spec: DatasetSpec) -> TracedKind:
    """The kind of a data set that has traces."""
    kind = _trainable(spec.name, None)
    assert isinstance(kind, TracedKind)
    return kind


def trained_kind(run: RunDirectory) -> TrainableKind:
    """The kind of data set that a run's models were trained on.

    Raises:
        RequestError: if ``config.json`` is damaged.
    """
    name = (run.training_data() or {}).get("name", DEFAULT)
    return _trainable(name, (run.read_config() or {}).get("task"))


def _trainable(name: str, task: str | None) -> TrainableKind:
    kind = describing_kind() if task == DESCRIBE else kind_of(name)
    assert isinstance(kind, TrainableKind)
    return kind
