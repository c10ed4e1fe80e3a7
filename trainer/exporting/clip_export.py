"""Exports of classifiers of clips.

Signatures of the SavedModel, each returning ``probabilities`` float32 (batch, N), and of the most probable
class its number, ``class`` int64 (batch,), and its name, ``label`` string (batch,):

- ``serving_default``: ``frames`` uint8 (batch, timesteps, H, W, C), any number of timesteps, all of them real
  frames;
- ``windows``: the same, and ``length`` int32 (batch,), how many of a clip's frames are real, at least 1;
- ``examples``: ``examples`` string (batch,), serialized records as `pipeline.generate` writes them, of the
  layout of the training's data set; labels need not be there. The window is chosen as in judging: the middle
  one of ``num_frames`` frames, of which the middle is shown where the training cropped frames.

``class_names`` takes nothing and returns ``class_names`` string (N,), the names in the order of the
probabilities; ``assets/class_names.txt`` has them, too, a line each.

ONNX and LiteRT have ``windows``, with ``probabilities`` alone; ONNX with any number of timesteps, LiteRT with
``num_frames``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.features import ClassLabel, feature_from_json
from trainer.exporting.clip_samples import clip_batches
from trainer.exporting.exportable import Arrays, Exportable, Request
from trainer.exporting.served_classifier import convertible_copy, float32_copy
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_records import FrameRecords
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import TrainedModel, check_finite
from trainer.tasks.trainable_kind import trained_kind

CLASS_NAMES_FILE = "class_names.txt"


class ClipExport(Exportable):
    """See `Exportable`.

    Args:
        trained: the model.
        run: its run, whose ``config.json`` says how clips are read and what the classes are.

    Raises:
        RequestError: if ``config.json`` is missing or damaged, or does not fit the model.
    """

    output = "probabilities"
    only_signature = "windows"

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
            self._class_names = tuple(map(str, document["class_names"]))
            self._spec = _spec(document)
            shown = self._view.shown_shape(self._spec.frame_shape)
        except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise RequestError(f"{run.config_path} is damaged; restore it or train again") from error
        frames, answers = trained.classifier.input["frames"].shape, trained.classifier.output_shape
        if (tuple(frames[2:]), answers[1]) != (shown, len(self._class_names)):
            raise RequestError(f"{run.config_path}: is of another model; restore it or train again")

    def archive(self) -> keras.export.ExportArchive:
        """See `Exportable.archive`."""
        classifier = float32_copy(self.trained.classifier)
        names, view = self._class_names, self._view
        records = FrameRecords(self._spec, view)
        shape = self._view.shown_shape(self._spec.frame_shape)

        def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
            batch, timesteps = tf.unstack(tf.shape(frames)[:2])
            return from_windows(frames, tf.fill([batch], timesteps))

        def from_windows(frames: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
            tf.debugging.assert_greater(length, 0, "length: a clip has at least 1 real frame")
            tf.debugging.assert_less_equal(length, tf.shape(frames)[1], "length: more than there are frames")
            probabilities = classifier({"frames": frames, "length": length}, training=False)
            number = tf.argmax(probabilities, axis=-1)
            return {"probabilities": probabilities, "class": number, "label": tf.gather(names, number)}

        def window(message: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features, _ = records.window(message, tf.constant(0, tf.int64))
            return features["frames"], features["length"]

        def from_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            window_spec = tf.TensorSpec((view.num_frames, *shape), tf.uint8), tf.TensorSpec((), tf.int32)
            return from_windows(*tf.map_fn(window, examples, fn_output_signature=window_spec))

        archive = keras.export.ExportArchive()
        archive.track(classifier)
        frames = tf.TensorSpec((None, None, *shape), tf.uint8, name="frames")
        length = tf.TensorSpec((None,), tf.int32, name="length")
        archive.add_endpoint("serving_default", from_frames, [frames])
        archive.add_endpoint("windows", from_windows, [frames, length])
        archive.add_endpoint("examples", from_examples, [tf.TensorSpec((None,), tf.string, name="examples")])
        archive.add_endpoint("class_names", lambda: {"class_names": tf.constant(names)}, [])
        return archive

    def convertible(self, *, is_unrolled: bool) -> keras.Model:
        """See `Exportable.convertible`."""
        timesteps = self._view.num_frames if is_unrolled else None
        return convertible_copy(self.trained.classifier, self.output, timesteps)

    def requests(self, *, every_signature: bool) -> Iterator[Request]:
        """See `Exportable.requests`; in batches."""
        for batch in clip_batches(self._spec, self._view):
            windows: dict[str, npt.NDArray[Any]] = {"frames": batch.frames, "length": batch.lengths}
            expected = self._expected(windows)
            yield Request("windows", windows, expected)
            if every_signature:
                yield Request("examples", {"examples": np.array(batch.records, object)}, expected)
                all_real = np.full_like(batch.lengths, self._view.num_frames)
                expected = self._expected({**windows, "length": all_real})
                yield Request("serving_default", {"frames": batch.frames}, expected)

    def check(self, outputs: Arrays) -> None:
        """See `Exportable.check`: class and label are those of the largest probability."""
        numbers = outputs["probabilities"].argmax(axis=-1)
        names = [self._class_names[number].encode() for number in numbers]
        if "class" in outputs and not (
            np.array_equal(outputs["class"], numbers) and outputs["label"].tolist() == names
        ):
            raise WorkError("the export's classes are not those of its probabilities; it is not put in place")

    def assets(self) -> dict[str, str]:
        """See `Exportable.assets`."""
        return {CLASS_NAMES_FILE: "".join(" ".join(name.splitlines()) + "\n" for name in self._class_names)}

    def facts(self) -> dict[str, Any]:
        """See `Exportable.facts`."""
        return {
            "class_names": list(self._class_names),
            "frame_shape": list(self._view.shown_shape(self._spec.frame_shape)),
            "num_frames": self._view.num_frames,
            "sampling": self._view.sampling,
            "frame_step": self._view.frame_step,
        }

    def _expected(self, windows: Arrays) -> npt.NDArray[np.float64]:
        answers = np.asarray(self.trained.classifier.predict(dict(windows), verbose=0)).astype(np.float64)
        check_finite(answers)
        return answers


def _spec(document: Mapping[str, Any]) -> DatasetSpec:
    """How records are read for serving: their labels are not."""
    features = {name: feature_from_json(each) for name, each in document["features"].items()}
    stored = DatasetSpec(str(document["name"]), features, {}, dict(document["keys"]))
    without = {name: each for name, each in features.items() if not isinstance(each, ClassLabel)}
    return replace(stored, features=without)
