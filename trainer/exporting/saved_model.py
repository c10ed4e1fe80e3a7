"""Exports to TensorFlow's SavedModel, for TensorFlow Serving and ``tf.saved_model.load``."""

from __future__ import annotations

import os

import tensorflow as tf

from trainer.exporting.exportable import Arrays, Exportable, Request


def write_saved_model(exportable: Exportable, path: str) -> None:
    """Write the signatures and the files of an exportable to a directory."""
    exportable.archive().write_out(path, verbose=False)
    for name, content in exportable.assets().items():
        with open(os.path.join(path, "assets", name), "w", encoding="utf-8") as file:
            file.write(content)


class SavedModelAnswers:
    """Answers requests by a SavedModel, each by the signature that it is for.

    Args:
        path: of the directory.
        exportable: what was exported.
    """

    def __init__(self, path: str, exportable: Exportable) -> None:
        self._loaded = tf.saved_model.load(path)

    def __call__(self, request: Request) -> Arrays:
        """The outputs by name."""
        inputs = {name: tf.constant(values) for name, values in request.inputs.items()}
        outputs = self._loaded.signatures[request.signature](**inputs)
        return {name: values.numpy() for name, values in outputs.items()}
