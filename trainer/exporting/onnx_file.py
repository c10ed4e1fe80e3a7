"""Exports to ONNX, for onnxruntime and others.

Input ``frames``: uint8 (batch, timesteps, S, S, 1), values 0 and 1, any number of sequences and timesteps.
Output ``right``: float32 (batch, 1). Keras converts TensorFlow's graph by tf2onnx, which turns the loop over
time into ONNX's operator LSTM.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.command_line.startup import quiet_stderr
from trainer.exporting.samples import Samples
from trainer.exporting.served_classifier import convertible_copy
from trainer.run.trained_model import TrainedModel


def write_onnx(trained: TrainedModel, path: str) -> None:
    """Write a trained model to a ``.onnx`` file."""
    import onnx

    model = convertible_copy(trained.classifier)
    with quiet_stderr():
        model.export(path, format="onnx", input_signature=model.inputs, verbose=False)
    exported = onnx.load(path)
    for value in (*exported.graph.input, *exported.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "timesteps"), strict=False):
            if dimension.dim_param:  # Variable, with a generated name.
                dimension.dim_param = name
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


def onnx_answers(path: str, samples: Samples) -> list[npt.NDArray[np.float32]]:
    """Probabilities of "right" by onnxruntime, float32 (n,), in a list of one."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [session.run(["right"], {"frames": samples.frames})[0][:, 0]]
