"""The document of ``metrics.json``: the numbers of lines, and the names of all numbers in checks.

``docs/metrics.schema.json`` is its JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.moving_line.lines import CLASS_NAMES
from trainer.evaluation.captions import document as of_captions
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.intervals import LEVEL
from trainer.evaluation.metrics import binary_metrics
from trainer.evaluation.n_classes import document as of_n_classes
from trainer.evaluation.number_names import named_row
from trainer.evaluation.slices import Slicing
from trainer.input.dataset_spec import DatasetSpec
from trainer.tasks.trainable_kind import traced_kind

SCHEMA_VERSION = 3

# Parts of the document that differ when an evaluation is repeated.
VOLATILE_PARTS = ("code", "throughput", "environment", "checks", "passed")


def upgrade_document(document: dict[str, Any]) -> dict[str, Any]:
    """Convert a document of schema version 2, where flips are named noise, to version 3.

    Returns:
        The converted document; a document of another version unchanged.

    Raises:
        LookupError, TypeError, AttributeError: if it is no document of ``metrics.json``.
    """
    if document["schema_version"] != 2:
        return document
    request = {"flips" if name == "noise" else name: value for name, value in document["request"].items()}
    return {**document, "schema_version": 3, "request": request}


def results(evidence: Evidence, under_flips: Mapping[float, Evidence]) -> dict[str, Any]:
    """Compute all numbers from a model's answers.

    Args:
        evidence: the answers.
        under_flips: the answers with flipped pixels, by share of pixels flipped.

    Returns:
        The parts ``intervals``, ``metrics``, ``accuracy_by_frame``, ``slices``, ``robustness`` and ``worst``.
    """
    worst = evidence.worst
    return {
        "intervals": {"level": LEVEL, "proportions": "wilson", "roc_auc": "delong", "means": "normal"},
        "metrics": binary_metrics(evidence.right, evidence.labels),
        "accuracy_by_frame": evidence.by_frame.document(),
        "slices": evidence.slices.document(),
        "robustness": [_robustness(rate, flipped) for rate, flipped in under_flips.items()],
        "worst": [
            {"number": number, "label": evidence.spec.class_names[label], "probability_of_right": right}
            for number, label, right in zip(
                worst.numbers.tolist(), worst.labels.tolist(), worst.right.tolist(), strict=True
            )
        ],
    }


def _robustness(rate: float, evidence: Evidence) -> dict[str, Any]:
    metrics = binary_metrics(evidence.right, evidence.labels)
    kept = ("accuracy", "accuracy_interval", "errors", "loss", "roc_auc", "roc_auc_interval")
    return {"flipped": rate, **{name: metrics[name] for name in kept}}


def named_numbers(document: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of a document by name; None for a number that is not defined.

    A metric has its own name (``accuracy``), another number its place in the document
    (``slices.turns.few.accuracy``, ``accuracy_by_frame.10.accuracy``, ``robustness.0.05.loss``). The ends of
    an interval have the suffixes ``.low`` and ``.high``.
    """
    if "classes" in document:
        return of_n_classes.named_numbers(document)
    if "captions" in document:
        return of_captions.named_numbers(document)
    found: dict[str, float | None] = {}
    metrics = {name: value for name, value in document["metrics"].items() if name != "reliability"}
    matrix = metrics.pop("confusion_matrix")
    found.update(named_row("", metrics))
    # A document that does not name its classes is of lines.
    for label, row in zip(CLASS_NAMES, matrix, strict=True):
        for predicted, count in zip(CLASS_NAMES, row, strict=True):
            found[f"confusion_matrix.{label}.{predicted}"] = count
    by_frame = document["accuracy_by_frame"]
    found["accuracy_by_frame.first_frame_at_99_percent"] = by_frame["first_frame_at_99_percent"]
    for row in by_frame["frames"]:
        found.update(named_row(f"accuracy_by_frame.{row['num_frames']}.", row))
    for name, groups in document["slices"].items():
        for group, row in groups.items():
            found.update(named_row(f"slices.{name}.{group}.", row))
    for row in document["robustness"]:
        found.update(named_row(f"robustness.{row['flipped']:g}.", row))
    return found


def number_names(
    num_frames: int, spec: DatasetSpec, slicings: Mapping[str, Slicing], flips: tuple[float, ...]
) -> list[str]:
    """The names that `named_numbers` will give, before the evaluation.

    Args:
        num_frames: number of frames that the model sees of a sequence.
        spec: of the data set.
        slicings: the slicings of the evaluation, by name.
        flips: its shares of flipped pixels.
    """
    example = Evidence(1, num_frames, spec, slicings)
    trace = np.zeros((1, *traced_kind(spec).trace_shape(spec)), np.uint8)
    example.add(np.zeros(1, np.int64), np.full((1, num_frames), 0.5, np.float32), np.ones(1, np.int64), trace)
    return list(named_numbers(results(example, dict.fromkeys(flips, example))))
