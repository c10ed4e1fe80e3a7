"""ONNX, which onnxruntime and many others run.

Input ``frames``: uint8 (batch, timesteps, S, S, 1), values 0 and 1, any number of sequences and timesteps.
Output ``right``: float32 (batch, 1). The network is written operator by operator: it comes to fourteen, where
a conversion of TensorFlow's graph comes to hundreds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.exporting.samples import Samples
from trainer.trained_model import TrainedModel

_OPSET, _IR_VERSION = 17, 8


def write(trained: TrainedModel, path: str) -> None:
    """Write the file."""
    import onnx

    classifier = _classifier(trained.classifier.get_weights(), trained.image_size)
    onnx.checker.check_model(classifier, full_check=True)
    onnx.save(classifier, path)


def answers(path: str, samples: Samples) -> list[npt.NDArray[np.float32]]:
    """What onnxruntime says of the samples, (n,)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [session.run(None, {"frames": samples.frames})[0][:, 0]]


def _classifier(weights: list[npt.NDArray[np.float32]], size: int) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    constants = _constants(weights, size)
    node = helper.make_node
    end = 1 if size == 2 else 0  # The only output of the smallest size is pooled with a border.
    nodes = [
        node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        node("Reshape", ["float", "images"], ["images_first"]),
        node("Conv", ["images_first", "conv_kernel", "conv_bias"], ["conv"]),
        node("Relu", ["conv"], ["relu"]),
        node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, end, end]),
        node("Transpose", ["pool"], ["channels_last"], perm=[0, 2, 3, 1]),
        node("Shape", ["frames"], ["batch_and_time"], start=0, end=2),
        node("Concat", ["batch_and_time", "num_features"], ["features_shape"], axis=0),
        node("Reshape", ["channels_last", "features_shape"], ["features"]),
        node("Transpose", ["features"], ["time_first"], perm=[1, 0, 2]),
        node(
            "LSTM",
            ["time_first", "lstm_kernel", "lstm_recurrent", "lstm_bias"],
            ["", "hidden"],
            hidden_size=constants["lstm_recurrent"].shape[-1],
        ),
        node("Squeeze", ["hidden", "direction"], ["last"]),
        node("Gemm", ["last", "dense_kernel", "dense_bias"], ["logit"]),
        node("Sigmoid", ["logit"], ["right"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", "timesteps", size, size, 1])],
        [helper.make_tensor_value_info("right", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(
        graph, producer_name="moving-lines", opset_imports=opsets, ir_version=_IR_VERSION
    )


def _constants(weights: list[npt.NDArray[np.float32]], size: int) -> dict[str, npt.NDArray[Any]]:
    conv_kernel, conv_bias, kernel, recurrent, bias, dense_kernel, dense_bias = weights
    return {
        "conv_kernel": conv_kernel.transpose(3, 2, 0, 1),
        "conv_bias": conv_bias,
        "lstm_kernel": _gates(kernel).T[None],
        "lstm_recurrent": _gates(recurrent).T[None],
        # ONNX adds a second bias to the recurrent product.
        "lstm_bias": np.concatenate([_gates(bias), np.zeros_like(bias)])[None],
        "dense_kernel": dense_kernel,
        "dense_bias": dense_bias,
        "images": np.array([-1, 1, size, size]),
        "num_features": np.array([kernel.shape[0]]),
        "direction": np.array([0]),
    }


def _gates(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """From Keras' order of the LSTM's gates (input, forget, cell, output) to that of ONNX."""
    update, forget, cell, output = np.split(values, 4, axis=-1)
    return np.concatenate([update, output, forget, cell], axis=-1)
