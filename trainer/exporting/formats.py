"""The formats that a model is exported to."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError
from trainer.exporting import litert_file, onnx_file, saved_model
from trainer.exporting.samples import Samples
from trainer.run.trained_model import TrainedModel


@dataclass(frozen=True)
class ExportFormat:
    """A format.

    Attributes:
        name: of the file or directory, in the output directory.
        packages: that writing and checking it need, besides those that training needs.
        write: a trained model, to a path.
        answers: what an export at a path says of samples, float32 (n,) for every signature it has.
    """

    name: str
    packages: tuple[str, ...]
    write: Callable[[TrainedModel, str], None]
    answers: Callable[[str, Samples], list[npt.NDArray[np.float32]]]

    def is_export(self, path: str) -> bool:
        """Whether what lies at a path may be replaced by an export of this format."""
        if self.name == "saved_model":
            return os.path.isfile(os.path.join(path, "saved_model.pb"))
        return os.path.isfile(path)

    def check_installed(self) -> None:
        """Refuse a format whose packages are not there.

        Raises:
            RequestError: naming them.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise RequestError(
                f"--format: needs {', '.join(missing)}, not installed here; pip install '.[export]'"
            )


FORMATS = {
    "saved_model": ExportFormat("saved_model", (), saved_model.write, saved_model.answers),
    "onnx": ExportFormat(
        "model.onnx", ("onnx", "onnxruntime", "tf2onnx"), onnx_file.write, onnx_file.answers
    ),
    "litert": ExportFormat("model.tflite", ("ai_edge_litert",), litert_file.write, litert_file.answers),
}
