"""The formats that a model can be exported to."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError
from trainer.exporting.exportable import Arrays, Exportable, Request
from trainer.exporting.litert_file import LiteRTAnswers, write_litert
from trainer.exporting.onnx_file import OnnxAnswers, write_onnx
from trainer.exporting.saved_model import SavedModelAnswers, write_saved_model


@dataclass(frozen=True)
class ExportFormat:
    """A format of exports.

    Attributes:
        name: name of the file or directory in the output directory.
        packages: packages needed to write and check it, besides those of training.
        write: writes an exportable to a path.
        answers: opens an export at a path of an exportable; what it returns answers requests, by the outputs.
        has_signatures: whether exports have all signatures of an exportable, or one.
    """

    name: str
    packages: tuple[str, ...]
    write: Callable[[Exportable, str], None]
    answers: Callable[[str, Exportable], Callable[[Request], Arrays]]
    has_signatures: bool = False

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
    "saved_model": ExportFormat("saved_model", (), write_saved_model, SavedModelAnswers, has_signatures=True),
    "onnx": ExportFormat("model.onnx", ("onnx", "onnxruntime", "tf2onnx"), write_onnx, OnnxAnswers),
    "litert": ExportFormat("model.tflite", ("ai_edge_litert",), write_litert, LiteRTAnswers),
}
