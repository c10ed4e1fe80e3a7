"""LiteRT (TensorFlow Lite), for phones and small devices.

Input ``frames``: uint8 (batch, S, S, S, 1), values 0 and 1, any batch and always S timesteps. Output
``right``: float32 (batch, 1). Only LiteRT's own operators are used, so its bare interpreter runs it.

These have no loop over time for an open batch, so all timesteps are unrolled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.command_line.startup import quiet_stderr
from trainer.exporting.samples import Samples
from trainer.exporting.served_classifier import convertible_copy
from trainer.run.trained_model import TrainedModel


def write(trained: TrainedModel, path: str) -> None:
    """Write the file."""
    model = convertible_copy(trained.classifier, timesteps=trained.image_size)
    own_operators = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    with quiet_stderr():
        model.export(
            path, format="litert", input_signature=model.inputs, verbose=False, target_spec=own_operators
        )


def answers(path: str, samples: Samples) -> list[npt.NDArray[np.float32]]:
    """What LiteRT's interpreter says of the samples, (n,)."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet_stderr():
        classify = Interpreter(path).get_signature_runner("serving_default")
        return [classify(frames=samples.frames)["right"][:, 0]]
