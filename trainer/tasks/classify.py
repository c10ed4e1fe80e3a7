"""Classify: tell which of two classes an example is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from model import logits_of
from trainer.evaluation.document import number_names, results
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.slices import Slicing
from trainer.input.dataset_spec import DatasetSpec


class Classify:
    """Two classes by one number: a model gives the probability of class 1.

    Losses and metrics take labels 0 and 1 and the logit of class 1, both (batch, 1).

    Args:
        spec: of a data set with a class label of two classes, the target.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec

    def logits(self, classifier: keras.Model) -> keras.Model:
        """The same classifier, with the same weights, up to its logit."""
        return logits_of(classifier)

    def loss(self) -> keras.losses.Loss:
        """What a training makes small."""
        return keras.losses.BinaryCrossentropy(from_logits=True)

    def metrics(self) -> list[keras.metrics.Metric]:
        """What a training shows besides: the accuracy."""
        return [keras.metrics.MeanMetricWrapper(is_correct, name="accuracy")]

    def compile(self, classifier: keras.Model, optimizer: Any) -> None:
        """Compile a classifier with the optimizer that trains it, so that its file contains both."""
        classifier.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])

    def evidence(self, num_sequences: int, num_frames: int, slicings: Mapping[str, Slicing]) -> Evidence:
        """A tally that answers are added to; arguments as for `Evidence`."""
        return Evidence(num_sequences, num_frames, self._spec, slicings)

    def results(self, evidence: Evidence, under_flips: Mapping[float, Evidence]) -> dict[str, Any]:
        """Parts of ``metrics.json``; see `trainer.evaluation.document.results`."""
        return results(evidence, under_flips)

    def number_names(
        self, num_frames: int, slicings: Mapping[str, Slicing], flips: tuple[float, ...]
    ) -> list[str]:
        """Names of the numbers of `results`; see `trainer.evaluation.document.number_names`."""
        return number_names(num_frames, self._spec, slicings, flips)

    def verdict(self, label: int, probability: float) -> str:
        """A line about an answer: the class, and the predicted class with its probability."""
        predicted = int(probability > 0.5)
        expected, name = (self._spec.class_names[each].capitalize() for each in (label, predicted))
        certainty = probability if predicted else 1 - probability
        return f"Expected: {expected}, Predicted: {name} (probability {certainty:.4f})"


def is_correct(labels: Any, logits: Any) -> Any:
    """Whether the more probable class is the label.

    Args:
        labels: 0 or 1, any shape and dtype.
        logits: of the class 1, in the same shape.

    Returns:
        bool, in the same shape.
    """
    return ops.equal(ops.cast(labels, "bool"), logits > 0)
