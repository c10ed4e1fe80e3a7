"""Exports to LiteRT (TensorFlow Lite), for phones and small devices.

Inputs and outputs are those of `Exportable.only_signature`, for any number of sequences and one number of
timesteps. Uses only LiteRT's built-in operators, so its interpreter needs no extensions. These have no loop
over time for a variable batch size, so all timesteps are unrolled.
"""

from __future__ import annotations

import tensorflow as tf

from trainer.command_line.startup import quiet_stderr
from trainer.exporting.exportable import Arrays, Exportable, Request


def write_litert(exportable: Exportable, path: str) -> None:
    """Write a trained model to a ``.tflite`` file."""
    model = exportable.convertible(is_unrolled=True)
    own_operators = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    with quiet_stderr():
        model.export(
            path, format="litert", input_signature=[model.input], verbose=False, target_spec=own_operators
        )


class LiteRTAnswers:
    """Answers requests by LiteRT's interpreter.

    Args:
        path: of the file.
        exportable: what was exported.
    """

    def __init__(self, path: str, exportable: Exportable) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with quiet_stderr():
            self._classify = Interpreter(path).get_signature_runner("serving_default")

    def __call__(self, request: Request) -> Arrays:
        """The outputs by name."""
        with quiet_stderr():
            outputs: Arrays = self._classify(**request.inputs)
            return outputs
