"""LiteRT (TensorFlow Lite), for phones and small devices.

Input ``frames``: uint8 (batch, S, S, S, 1), values 0 and 1, any batch and always S timesteps. Output
``right``: float32 (batch, 1). Only LiteRT's own operators are used, so its bare interpreter runs it.

The converter takes neither Keras' loops over time with an open batch nor variables that a model holds; it
takes plain operations on constants. So the network is written out here once more, all timesteps unrolled.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.exporting.samples import Samples
from trainer.startup import quiet_stderr
from trainer.trained_model import TrainedModel


def write(trained: TrainedModel, path: str) -> None:
    """Write the file."""
    module = tf.Module()
    module.classify = _classifier(trained.classifier.get_weights(), trained.image_size)
    with tempfile.TemporaryDirectory() as directory, quiet_stderr():
        signatures = {"serving_default": module.classify.get_concrete_function()}
        tf.saved_model.save(module, directory, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        content = converter.convert()
    with open(path, "wb") as stream:
        stream.write(content)


def answers(path: str, samples: Samples) -> list[npt.NDArray[np.float32]]:
    """What LiteRT's interpreter says of the samples, (n,)."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr():
        classify = Interpreter(path).get_signature_runner("serving_default")
        return [classify(frames=samples.frames)["right"][:, 0]]


def _classifier(weights: list[npt.NDArray[np.float32]], size: int) -> Any:
    conv_kernel, conv_bias, kernel, recurrent, bias, dense_kernel, dense_bias = map(tf.constant, weights)
    units = recurrent.shape[0]

    def classify(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.reshape(tf.cast(frames, tf.float32), (-1, size, size, 1))
        images = tf.nn.relu(tf.nn.conv2d(images, conv_kernel, 1, "VALID") + conv_bias)
        # The only output of the smallest size is pooled with a border.
        images = tf.nn.max_pool2d(images, 2, 2, "SAME" if size == 2 else "VALID")
        projected = tf.reshape(images, (-1, kernel.shape[0])) @ kernel + bias
        projected = tf.transpose(tf.reshape(projected, (-1, size, 4 * units)), (1, 0, 2))
        hidden = carry = tf.zeros((tf.shape(frames)[0], units))
        for timestep in tf.unstack(projected, size):
            update, forget, cell, output = tf.split(timestep + hidden @ recurrent, 4, axis=-1)
            carry = tf.sigmoid(forget) * carry + tf.sigmoid(update) * tf.tanh(cell)
            hidden = tf.sigmoid(output) * tf.tanh(carry)
        return {"right": tf.sigmoid(hidden @ dense_kernel + dense_bias)}

    frames = tf.TensorSpec((None, size, size, size, 1), tf.uint8, name="frames")
    return tf.function(classify, input_signature=[frames])
