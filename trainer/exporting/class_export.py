"""Exports of classifiers of clips; see `trainer.exporting.clip_export`.

Signatures return ``probabilities`` float32 (batch, N), and of the most probable class its number, ``class``
int64 (batch,), and its name, ``label`` string (batch,). ONNX and LiteRT give ``probabilities`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import WorkError
from trainer.exporting.clip_export import ClipExport, Outputs
from trainer.exporting.exportable import Arrays, Request
from trainer.exporting.served_classifier import convertible_copy, float32_copy
from trainer.run.trained_model import TrainedModel, check_finite


class ClassExport(ClipExport):
    """See `ClipExport`."""

    output = "probabilities"
    names_of = "class_names"

    def convertible(self, *, is_unrolled: bool) -> keras.Model:
        """See `Exportable.convertible`."""
        timesteps = self.num_frames if is_unrolled else None
        return convertible_copy(self.trained.classifier, self.output, timesteps)

    def difference(self, request: Request, outputs: Arrays) -> float:
        """See `Exportable.difference`: class and label are those of the largest probability."""
        numbers = outputs["probabilities"].argmax(axis=-1)
        names = [self.names[number].encode() for number in numbers]
        if "class" in outputs and not (
            np.array_equal(outputs["class"], numbers) and outputs["label"].tolist() == names
        ):
            raise WorkError("the export's classes are not those of its probabilities; it is not put in place")
        return super().difference(request, outputs)

    def _names(self, document: Mapping[str, Any]) -> Sequence[str]:
        return tuple(map(str, document["class_names"]))

    def _fits(self, trained: TrainedModel) -> bool:
        return not trained.is_captioner and trained.classifier.output_shape[1] == len(self.names)

    def _served(self) -> tuple[keras.Model, Callable[[Outputs], Outputs]]:
        def named(probabilities: Any) -> Outputs:
            number = tf.argmax(probabilities, axis=-1)
            return {
                "probabilities": probabilities,
                "class": number,
                "label": tf.gather(self.names, number),
            }

        return float32_copy(self.trained.classifier), named

    def _expected(self, windows: Arrays) -> tuple[npt.NDArray[np.float64], Arrays]:
        answers = np.asarray(self.trained.classifier.predict(dict(windows), verbose=0)).astype(np.float64)
        check_finite(answers)
        return answers, {}
