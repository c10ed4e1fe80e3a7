"""The parts of ``metrics.json`` of a classifier of N classes: their numbers, and their names in checks.

``docs/metrics.schema.json`` is its JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trainer.evaluation.intervals import LEVEL
from trainer.evaluation.n_classes.by_share import NUM_SHARES
from trainer.evaluation.n_classes.clip_level import clip_answers
from trainer.evaluation.n_classes.evidence import Answers, ClassEvidence
from trainer.evaluation.n_classes.group_bootstrap import group_intervals, independent_units
from trainer.evaluation.n_classes.metrics import class_metrics
from trainer.evaluation.number_names import named_row
from trainer.evaluation.slices import Slicing

# In the order of the document.
_OF_CLIPS = ("loss", "accuracy", "accuracy_interval", "top_k", "macro_f1")
_OF_ONE_FRAME = ("accuracy", "accuracy_interval", "loss", "macro_f1")


def results(evidence: ClassEvidence, single_frame: ClassEvidence | None, views: int) -> dict[str, Any]:
    """Compute all numbers from a model's answers.

    Args:
        evidence: the answers.
        single_frame: the answers of the same model to one frame of each record; None if not measured.
        views: number of views that ``evidence`` averages.

    Returns:
        The parts ``task``, ``classes``, ``intervals``, ``metrics``, ``clip_level``, ``views``,
        ``accuracy_by_share``, ``baselines``, ``slices`` and ``worst``.
    """
    names = evidence.class_names
    predicted = evidence.probabilities.argmax(1)
    units = independent_units(evidence.groups, evidence.clips)
    metrics = class_metrics(evidence.probabilities, evidence.labels, names)
    return {
        "task": "classify",
        "classes": list(names),
        "intervals": {"level": LEVEL, "proportions": "wilson", "groups": "bootstrap"},
        "metrics": {**metrics, **group_intervals(units, evidence.labels, predicted, len(names))},
        "clip_level": _clip_level(evidence),
        "views": views,
        "accuracy_by_share": evidence.by_share.rows(),
        "baselines": _baselines(evidence, single_frame),
        "slices": evidence.slices(),
        "worst": _worst(evidence),
    }


def _clip_level(evidence: ClassEvidence) -> dict[str, Any]:
    clips = clip_answers(evidence)
    metrics = class_metrics(clips.probabilities, clips.labels, evidence.class_names)
    units = independent_units(clips.groups, [""] * len(clips.groups))
    predicted = clips.probabilities.argmax(1)
    return {
        "num_clips": len(clips.labels),
        **{name: metrics[name] for name in _OF_CLIPS},
        **group_intervals(units, clips.labels, predicted, len(evidence.class_names)),
    }


def _baselines(evidence: ClassEvidence, single_frame: ClassEvidence | None) -> dict[str, Any]:
    counts = np.bincount(evidence.labels, minlength=len(evidence.class_names))
    most = int(counts.argmax())
    one_frame = None
    if single_frame is not None:
        metrics = class_metrics(single_frame.probabilities, single_frame.labels, evidence.class_names)
        one_frame = {name: metrics[name] for name in _OF_ONE_FRAME}
    return {
        "majority_class": {
            "class": evidence.class_names[most],
            "accuracy": int(counts[most]) / len(evidence.labels),
        },
        "single_frame": one_frame,
    }


def _worst(evidence: ClassEvidence) -> list[dict[str, Any]]:
    of_labels = evidence.of_labels()
    return [
        {
            "number": int(evidence.numbers[place]),
            "clip": evidence.clips[place],
            "label": evidence.class_names[evidence.labels[place]],
            "predicted": evidence.class_names[evidence.probabilities[place].argmax()],
            "probability_of_label": float(of_labels[place]),
        }
        for place in evidence.worst().places.tolist()
    ]


def named_numbers(document: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of a document of N classes by name; see `trainer.evaluation.document.named_numbers`.

    In names of classes, a backslash stands before a dot and a backslash: two names never become one.
    """
    return dict(_numbers(document))


def _numbers(document: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    metrics = {**document["metrics"]}
    del metrics["reliability"]
    matrix, per_class = metrics.pop("confusion_matrix"), metrics.pop("per_class")
    yield from _with_top_k("", metrics)
    classes = [escaped(name) for name in document["classes"]]
    for label, row in zip(classes, matrix, strict=True):
        for predicted, count in zip(classes, row, strict=True):
            yield f"confusion_matrix.{label}.{predicted}", count
    for name, row in per_class.items():
        yield from named_row(f"per_class.{escaped(name)}.", row)
    yield from _with_top_k("clip_level.", document["clip_level"])
    yield "views", document["views"]
    for row in document["accuracy_by_share"] or ():
        yield from named_row(f"accuracy_by_share.{100 * row['share']:.0f}.", row)
    majority = document["baselines"]["majority_class"]
    yield "baselines.majority_class.accuracy", majority["accuracy"]
    yield from named_row("baselines.single_frame.", document["baselines"]["single_frame"] or {})
    for name, groups in document["slices"].items():
        for group, row in groups.items():
            yield from named_row(f"slices.{name}.{escaped(group)}.", row)


def _with_top_k(prefix: str, row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    rest = {**row}
    yield from named_row(f"{prefix}top_k.", rest.pop("top_k"))
    yield from named_row(prefix, rest)


def escaped(name: str) -> str:
    """A name of a class, or of another group, as a part of a number's name."""
    return name.replace("\\", r"\\").replace(".", r"\.")


def number_names(
    class_names: Sequence[str], slicings: Mapping[str, Slicing], *, by_share: bool, single_frame: bool
) -> list[str]:
    """The names that `named_numbers` will give, before the evaluation.

    Args:
        class_names: names of the classes.
        slicings: the slicings of the evaluation, by name.
        by_share: whether answers after shares of the frames will be measured.
        single_frame: whether answers to one frame will be.
    """
    example = ClassEvidence(1, class_names, slicings)
    shares = np.zeros((1, NUM_SHARES, len(class_names)), np.float32)
    number, length = np.zeros(1, np.int64), np.ones(1, np.int64)
    frames = np.zeros((1, 1, 1, 1, 1), np.uint8)
    by_shares = shares if by_share else None
    example.add(Answers(number, number, shares[:, 0], by_shares, length, [""], [""], frames, length))
    return list(named_numbers(results(example, example if single_frame else None, 1)))
