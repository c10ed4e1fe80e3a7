"""Exports of captioners; see `trainer.exporting.clip_export`.

Signatures return captions that are written greedily: ``caption`` string (batch,), its words joined by spaces;
``log_probability`` float32 (batch,), the natural logarithm of its probability; and ``tokens`` int32 (batch,
max_words + 1), the numbers of its words and of ``<end>``, padded with 0. ONNX and LiteRT give the latter two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.captions import PAD, SPECIAL, decoder_of
from pipeline.command_line.errors import WorkError
from trainer.captions.captioning import CaptionModels, Decoding
from trainer.exporting.clip_export import ClipExport, Outputs
from trainer.exporting.exportable import Arrays, Request
from trainer.exporting.served_classifier import convertible_layers, float32_copy
from trainer.input.vocabulary import Vocabulary
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import TrainedModel, check_finite

_OUTPUTS = ("tokens", "log_probability")


class CaptionExport(ClipExport):
    """See `ClipExport`."""

    output = "log_probability"
    names_of = "words"

    def __init__(self, trained: TrainedModel, run: RunDirectory) -> None:
        super().__init__(trained, run)
        self._vocabulary = Vocabulary(tuple(self.names), trained.settings.max_words)
        self._float32 = float32_copy(trained.classifier)
        # In half precision other words may be the most probable ones, and captions would differ.
        compared = self._float32 if self.is_half_precision else trained.classifier
        self._writer = self._writer_of(compared, self.num_frames)

    def convertible(self, *, is_unrolled: bool) -> keras.Model:
        """See `Exportable.convertible`. The loop over words stays one."""
        timesteps = self.num_frames if is_unrolled else None
        return self._writer_of(convertible_layers(self.trained.classifier, timesteps), timesteps)

    def difference(self, request: Request, outputs: Arrays) -> float:
        """See `Exportable.difference`: of log-probabilities a token. Captions are those of the model.

        A caption's log-probability is a sum over its tokens, and so is what rounding makes of it.
        """
        tokens = outputs["tokens"]
        captions = [self._vocabulary.text(each).encode() for each in tokens]
        if not np.array_equal(tokens, request.equal["tokens"]) or (
            "caption" in outputs and outputs["caption"].tolist() != captions
        ):
            raise WorkError("the export writes other captions than the model; it is not put in place")
        counts = (tokens != PAD).sum(axis=1)
        return float((np.abs(outputs[self.output] - request.expected) / counts).max())

    def facts(self) -> dict[str, Any]:
        """See `Exportable.facts`."""
        return {**super().facts(), "max_words": self._vocabulary.max_words}

    def _names(self, document: Mapping[str, Any]) -> Sequence[str]:
        return decoder_of(self.trained.classifier).words

    def _fits(self, trained: TrainedModel) -> bool:
        settings = trained.settings
        return Vocabulary(tuple(self.names), settings.max_words).sha256 == settings.vocabulary_sha256

    def _served(self) -> tuple[keras.Model, Callable[[Outputs], Outputs]]:
        def with_text(written: Outputs) -> Outputs:
            tokens = written["tokens"]
            words = tf.ragged.boolean_mask(tf.gather(self.names, tokens), tokens >= len(SPECIAL))
            return {**written, "caption": tf.strings.reduce_join(words, axis=-1, separator=" ")}

        return self._writer_of(self._float32, None), with_text

    def _expected(self, windows: Arrays) -> tuple[npt.NDArray[np.float64], Arrays]:
        written = self._writer.predict(dict(windows), verbose=0)
        scores = written["log_probability"].astype(np.float64)
        check_finite(scores)
        return scores, {"tokens": written["tokens"]}

    def _writer_of(self, captioner: keras.Model, num_frames: int | None) -> keras.Model:
        models = CaptionModels(replace(self.trained, classifier=captioner), num_frames, Decoding())
        return keras.Model(models.writer.input, {name: models.writer.output[name] for name in _OUTPUTS})
