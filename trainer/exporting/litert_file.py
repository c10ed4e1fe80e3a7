"""Exports to LiteRT (TensorFlow Lite), for phones and small devices.

Input ``frames``: uint8 (batch, S, S, S, 1), values 0 and 1, any batch size, S timesteps. Output ``right``:
float32 (batch, 1). Uses only LiteRT's built-in operators, so its interpreter needs no extensions. These have
no loop over time for a variable batch size, so all timesteps are unrolled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.command_line.startup import quiet_stderr
from trainer.exporting.samples import Samples
from trainer.exporting.served_classifier import convertible_copy
from trainer.run.trained_model import TrainedModel


def write_litert(trained: TrainedModel, path: str) -> None:
    """Write a trained model to a ``.tflite`` file."""
    model = convertible_copy(trained.classifier, timesteps=trained.image_size)
    own_operators = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    with quiet_stderr():
        model.export(
            path, format="litert", input_signature=model.inputs, verbose=False, target_spec=own_operators
        )


def litert_answers(path: str, samples: Samples) -> list[npt.NDArray[np.float32]]:
    """Probabilities of "right" by LiteRT's interpreter, float32 (n,), in a list of one."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr():
        classify = Interpreter(path).get_signature_runner("serving_default")
        return [classify(frames=samples.frames)["right"][:, 0]]
