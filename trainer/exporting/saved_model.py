"""Exports to TensorFlow's SavedModel, for TensorFlow Serving and ``tf.saved_model.load``.

Signatures, each returning ``{"right": float32 (batch, 1)}``, the probability of "right":

- ``serving_default``: ``frames`` uint8 (batch, timesteps, S, S, 1), values 0 and 1, any number of timesteps;
- ``paths``: ``path`` uint8 (batch, S) and ``label`` uint8 (batch,), from which frames are drawn;
- ``examples``: ``examples`` string (batch,), serialized ``tf.train.Example`` messages of paths, as
  `pipeline.generate` writes them.

Frames are drawn as lines or dots, as in training, but without the training's windows and noise.
"""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import Observation
from model.moving_line import with_sequence_inputs
from trainer.exporting.samples import Samples
from trainer.exporting.served_classifier import float32_copy
from trainer.moving_line.records import PathRows
from trainer.run.trained_model import TrainedModel

_ENCODING = "path"


def write_saved_model(trained: TrainedModel, path: str) -> None:
    """Write a trained model to a directory. No GPU may be visible, else the export runs on GPUs only."""
    size = trained.image_size
    classifier = float32_copy(trained.classifier)
    of_paths = with_sequence_inputs(classifier, size, _ENCODING, Observation(trained.observation.line))
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
    archive.write_out(path, verbose=False)


def saved_model_answers(path: str, samples: Samples) -> list[npt.NDArray[np.float32]]:
    """Probabilities of "right" by each signature, float32 (n,) each."""
    signatures = tf.saved_model.load(path).signatures
    outputs = [
        signatures["serving_default"](frames=tf.constant(samples.frames)),
        signatures["paths"](
            path=tf.constant(samples.paths), label=tf.constant(samples.labels.astype(np.uint8))
        ),
        signatures["examples"](examples=tf.constant(samples.examples())),
    ]
    return [each["right"].numpy()[:, 0] for each in outputs]
