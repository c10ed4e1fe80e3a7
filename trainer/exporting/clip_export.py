"""Exports of models of clips: what those of classifiers and of captioners share.

Signatures of the SavedModel, each returning what the subclass says:

- ``serving_default``: ``frames`` uint8 (batch, timesteps, H, W, C), any number of timesteps, all of them real
  frames;
- ``windows``: the same, and ``length`` int32 (batch,), how many of a clip's frames are real, at least 1;
- ``examples``: ``examples`` string (batch,), serialized records as `pipeline.generate` writes them, of the
  layout of the training's data set; labels and captions need not be there. The window is chosen as in
  judging: the middle one of ``num_frames`` frames, of which the middle is shown where the training cropped
  frames.

One more takes nothing and returns names by number, as its name: ``class_names`` or ``words``, string (N,);
``assets/NAME.txt`` has them, too, a line each.

ONNX and LiteRT have ``windows``; ONNX with any number of timesteps, LiteRT with ``num_frames``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import RequestError
from pipeline.dataset.features import ClassLabel, feature_from_json
from trainer.exporting.clip_samples import clip_batches
from trainer.exporting.exportable import Arrays, Exportable, Request
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_records import FrameRecords
from trainer.prediction.frame_format import FrameFormat
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import TrainedModel
from trainer.tasks.trainable_kind import trained_kind

Outputs = dict[str, tf.Tensor]


class ClipExport(Exportable):
    """See `Exportable`.

    Attributes:
        names: what ``names_of`` returns.
        num_frames: of the windows.

    Args:
        trained: the model.
        run: its run, whose ``config.json`` says how clips are read.

    Raises:
        RequestError: if ``config.json`` is missing or damaged, or does not fit the model.
    """

    only_signature = "windows"
    # What the numbers in the answers stand for; name of the signature that returns them.
    names_of: ClassVar[str]

    def __init__(self, trained: TrainedModel, run: RunDirectory) -> None:
        super().__init__(trained)
        document = run.training_data()
        view = trained_kind(run).view(trained.settings)
        if document is None or view is None:
            raise RequestError(
                f"{run.config_path}: is missing, or of another run; classes and records are described there"
            )
        self._view = view.judged()
        try:
            self._spec = _spec(document)
            self._shape = self._view.shown_shape(self._spec.frame_shape)
            self._preparation = FrameFormat.of(document).preparation
            self.names = self._names(document)
        except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise RequestError(f"{run.config_path} is damaged; restore it or train again") from error
        frames = trained.classifier.input["frames"].shape
        if tuple(frames[2:]) != self._shape or not self._fits(trained):
            raise RequestError(f"{run.config_path}: is of another model; restore it or train again")

    @property
    def num_frames(self) -> int:
        """See the class."""
        return self._view.num_frames

    @abstractmethod
    def _names(self, document: Mapping[str, Any]) -> Sequence[str]:
        """See ``names``.

        Args:
            document: what ``config.json`` says of the data set.
        """

    @abstractmethod
    def _fits(self, trained: TrainedModel) -> bool:
        """Whether the model is the one that ``config.json`` describes."""

    @abstractmethod
    def _served(self) -> tuple[keras.Model, Callable[[Outputs], Outputs]]:
        """The model that is served, from ``frames`` and ``length``, and what is made of its outputs."""

    @abstractmethod
    def _expected(self, windows: Arrays) -> tuple[npt.NDArray[np.float64], Arrays]:
        """What the Keras model answers to windows: ``expected`` and ``equal`` of a `Request`.

        Raises:
            NotFiniteError: if its answers are not finite.
        """

    def archive(self) -> keras.export.ExportArchive:
        """See `Exportable.archive`."""
        model, finished = self._served()
        view, shape = self._view, self._shape
        records = FrameRecords(self._spec, view)

        def from_frames(frames: tf.Tensor) -> Outputs:
            batch, timesteps = tf.unstack(tf.shape(frames)[:2])
            return from_windows(frames, tf.fill([batch], timesteps))

        def from_windows(frames: tf.Tensor, length: tf.Tensor) -> Outputs:
            tf.debugging.assert_greater(length, 0, "length: a clip has at least 1 real frame")
            tf.debugging.assert_less_equal(length, tf.shape(frames)[1], "length: more than there are frames")
            return finished(model({"frames": frames, "length": length}, training=False))

        def window(message: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features, _ = records.window(message, tf.constant(0, tf.int64))
            return features["frames"], features["length"]

        def from_examples(examples: tf.Tensor) -> Outputs:
            window_spec = tf.TensorSpec((view.num_frames, *shape), tf.uint8), tf.TensorSpec((), tf.int32)
            return from_windows(*tf.map_fn(window, examples, fn_output_signature=window_spec))

        archive = keras.export.ExportArchive()
        archive.track(model)
        frames = tf.TensorSpec((None, None, *shape), tf.uint8, name="frames")
        length = tf.TensorSpec((None,), tf.int32, name="length")
        archive.add_endpoint("serving_default", from_frames, [frames])
        archive.add_endpoint("windows", from_windows, [frames, length])
        archive.add_endpoint("examples", from_examples, [tf.TensorSpec((None,), tf.string, name="examples")])
        archive.add_endpoint(self.names_of, lambda: {self.names_of: tf.constant(self.names)}, [])
        return archive

    def requests(self, *, every_signature: bool) -> Iterator[Request]:
        """See `Exportable.requests`; in batches."""
        for batch in clip_batches(self._spec, self._view):
            windows: dict[str, npt.NDArray[Any]] = {"frames": batch.frames, "length": batch.lengths}
            expected = self._expected(windows)
            yield Request("windows", windows, *expected)
            if every_signature:
                yield Request("examples", {"examples": np.array(batch.records, object)}, *expected)
                all_real = np.full_like(batch.lengths, self.num_frames)
                expected = self._expected({**windows, "length": all_real})
                yield Request("serving_default", {"frames": batch.frames}, *expected)

    def assets(self) -> dict[str, str]:
        """See `Exportable.assets`."""
        lines = [" ".join(name.splitlines()) for name in self.names]
        return {f"{self.names_of}.txt": "".join(f"{line}\n" for line in lines)}

    def facts(self) -> dict[str, Any]:
        """See `Exportable.facts`; ``frame_settings`` say how files were decoded, where they were."""
        prepared = {} if self._preparation is None else {"frame_settings": self._preparation.to_json()}
        return prepared | {
            self.names_of: list(self.names),
            "frame_shape": list(self._shape),
            "num_frames": self.num_frames,
            "sampling": self._view.sampling,
            "frame_step": self._view.frame_step,
        }


def _spec(document: Mapping[str, Any]) -> DatasetSpec:
    """How records are read for serving: their labels are not."""
    features = {name: feature_from_json(each) for name, each in document["features"].items()}
    stored = DatasetSpec(str(document["name"]), features, {}, dict(document["keys"]))
    without = {name: each for name, each in features.items() if not isinstance(each, ClassLabel)}
    return replace(stored, features=without)
