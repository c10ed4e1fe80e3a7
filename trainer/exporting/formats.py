"""The formats that a model can be exported to."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError
from trainer.exporting.litert_file import litert_answers, write_litert
from trainer.exporting.onnx_file import onnx_answers, write_onnx
from trainer.exporting.samples import Samples
from trainer.exporting.saved_model import saved_model_answers, write_saved_model
from trainer.run.trained_model import TrainedModel


@dataclass(frozen=True)
class ExportFormat:
    """A format of exports.

    Attributes:
        name: name of the file or directory in the output directory.
        packages: packages needed to write and check it, besides those of training.
        write: writes a trained model to a path.
        answers: returns the probabilities that an export at a path gives for samples, float32 (n,) for each
            of its signatures.
    """

    name: str
    packages: tuple[str, ...]
    write: Callable[[TrainedModel, str], None]
    answers: Callable[[str, Samples], list[npt.NDArray[np.float32]]]

    def is_export(self, path: str) -> bool:
        """Whether the file or directory at a path is an export of this format, which may be replaced."""
        if self.name == "saved_model":
            return os.path.isfile(os.path.join(path, "saved_model.pb"))
        return os.path.isfile(path)

    def check_installed(self) -> None:
        """Check that the packages of this format are installed.

        Raises:
            RequestError: with the missing ones.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise RequestError(
                f"--format: needs {', '.join(missing)}, not installed here; pip install '.[export]'"
            )


EXPORT_FORMATS = {
    "saved_model": ExportFormat("saved_model", (), write_saved_model, saved_model_answers),
    "onnx": ExportFormat("model.onnx", ("onnx", "onnxruntime", "tf2onnx"), write_onnx, onnx_answers),
    "litert": ExportFormat("model.tflite", ("ai_edge_litert",), write_litert, litert_answers),
}
