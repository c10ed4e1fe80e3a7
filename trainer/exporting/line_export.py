"""Exports of classifiers of moving lines.

Signatures of the SavedModel, each returning ``{"right": float32 (batch, 1)}``, the probability of "right":

- ``serving_default``: ``frames`` uint8 (batch, timesteps, S, S, 1), values 0 and 1, any number of timesteps;
- ``paths``: ``path`` uint8 (batch, S) and ``label`` uint8 (batch,), from which frames are drawn;
- ``examples``: ``examples`` string (batch,), serialized ``tf.train.Example`` messages of paths, as
  `pipeline.generate` writes them.

Frames are drawn as lines or dots, as in training, but without the training's windows and noise.

ONNX and LiteRT have ``serving_default``, ONNX with any number of timesteps, LiteRT with S.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from model import Observation
from model.moving_line import with_sequence_inputs
from trainer.exporting.exportable import Exportable, Request
from trainer.exporting.line_samples import Samples
from trainer.exporting.served_classifier import convertible_copy, float32_copy
from trainer.moving_line.records import PathRows
from trainer.run.trained_model import TrainedModel, check_finite

_ENCODING = "path"


class LineExport(Exportable):
    """See `Exportable`.

    Raises:
        NotFiniteError: if the model's answers are not finite.
    """

    output = "right"
    only_signature = "serving_default"

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__(trained)
        self._samples = Samples.of(trained)
        answers = trained.classifier.predict(self._samples.frames, verbose=0)
        self._expected = np.asarray(answers).astype(np.float64)
        check_finite(self._expected)

    def archive(self) -> keras.export.ExportArchive:
        """See `Exportable.archive`."""
        size = self.trained.image_size
        classifier = float32_copy(self.trained.classifier)
        observation = Observation(self.trained.observation.line)
        of_paths = with_sequence_inputs(classifier, size, _ENCODING, observation)
        records = PathRows(size)

        def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"right": classifier(frames, training=False)}

        def from_paths(path: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"right": of_paths({"path": path, "label": label}, training=False)}

        def from_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            rows = records.parse(examples)
            return from_paths(rows[:, :-1], rows[:, -1])

        archive = keras.export.ExportArchive()
        archive.track(classifier)
        frames = tf.TensorSpec(classifier.input_shape, tf.uint8, name="frames")
        paths = [
            tf.TensorSpec((None, size), tf.uint8, name="path"),
            tf.TensorSpec((None,), tf.uint8, name="label"),
        ]
        archive.add_endpoint("serving_default", from_frames, [frames])
        archive.add_endpoint("paths", from_paths, paths)
        archive.add_endpoint("examples", from_examples, [tf.TensorSpec((None,), tf.string, name="examples")])
        return archive

    def convertible(self, *, is_unrolled: bool) -> keras.Model:
        """See `Exportable.convertible`."""
        timesteps = self.trained.image_size if is_unrolled else None
        return convertible_copy(self.trained.classifier, self.output, timesteps)

    def requests(self, *, every_signature: bool) -> list[Request]:
        """See `Exportable.requests`."""
        samples, expected = self._samples, self._expected
        frames = Request("serving_default", {"frames": samples.frames}, expected)
        if not every_signature:
            return [frames]
        paths = {"path": samples.paths, "label": samples.labels.astype(np.uint8)}
        examples = {"examples": np.array(samples.examples(), object)}
        return [frames, Request("paths", paths, expected), Request("examples", examples, expected)]
