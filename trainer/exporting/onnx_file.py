"""Exports to ONNX, for onnxruntime and others.

Inputs and outputs are those of `Exportable.only_signature`, for any number of sequences and timesteps. Keras
converts TensorFlow's graph by tf2onnx, which turns the loop over time into ONNX's operator LSTM. The facts
that a client has to know stand in the metadata properties, as JSON each.
"""

from __future__ import annotations

import json

from trainer.command_line.startup import quiet_stderr
from trainer.exporting.exportable import Arrays, Exportable, Request


def write_onnx(exportable: Exportable, path: str) -> None:
    """Write a trained model to a ``.onnx`` file."""
    import onnx

    model = exportable.convertible(is_unrolled=False)
    with quiet_stderr():
        model.export(path, format="onnx", input_signature=[model.input], verbose=False)
    exported = onnx.load(path)
    for value in (*exported.graph.input, *exported.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, ("batch", "timesteps"), strict=False):
            if dimension.dim_param:  # Variable, with a generated name.
                dimension.dim_param = name
    if facts := exportable.facts():
        onnx.helper.set_model_props(exported, {name: json.dumps(fact) for name, fact in facts.items()})
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


class OnnxAnswers:
    """Answers requests by onnxruntime.

    Args:
        path: of the file.
        exportable: what was exported.
    """

    def __init__(self, path: str, exportable: Exportable) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._outputs = [each.name for each in self._session.get_outputs()]

    def __call__(self, request: Request) -> Arrays:
        """The outputs by name."""
        answers = self._session.run(self._outputs, dict(request.inputs))
        return dict(zip(self._outputs, answers, strict=True))
