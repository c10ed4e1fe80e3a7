"""What is exported of a run, by what its model was trained on."""

from __future__ import annotations

from trainer.exporting.caption_export import CaptionExport
from trainer.exporting.class_export import ClassExport
from trainer.exporting.exportable import Exportable
from trainer.exporting.line_export import LineExport
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model


def exportable_of(run: RunDirectory) -> Exportable:
    """Load the model of a run for exporting.

    Raises:
        RequestError: if the run has no model, or files of it are damaged.
        WorkError: if the model's answers are not finite.
    """
    trained = load_trained_model(run)
    if trained.is_of_lines:
        return LineExport(trained)
    return CaptionExport(trained, run) if trained.is_captioner else ClassExport(trained, run)
