"""The main numbers of N classes, for the printed summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NUM_CLASSES = 3

Row = tuple[str, float | None, Sequence[float] | None, str]


def may_be_guessing(document: Mapping[str, Any]) -> bool:
    """Whether the accuracy's interval holds, or lies below, that of always answering the largest class."""
    metrics = document["metrics"]
    interval = metrics["accuracy_group_interval"] or metrics["accuracy_interval"]
    return bool(interval[0] <= document["baselines"]["majority_class"]["accuracy"])


def summary_rows(document: Mapping[str, Any]) -> list[Row]:
    """The main numbers of a document: name, value, interval (None for none) and a remark, "" for none."""
    metrics, clips, baselines = (document[part] for part in ("metrics", "clip_level", "baselines"))
    rows: list[Row] = [("accuracy", metrics["accuracy"], metrics["accuracy_interval"], "")]
    if (interval := metrics["accuracy_group_interval"]) is not None:
        rows.append(("accuracy, groups drawn", metrics["accuracy"], interval, ""))
    rows += [(f"label in the top {k}", value, None, "") for k, value in metrics["top_k"].items()]
    rows.append(("macro_f1", metrics["macro_f1"], metrics["macro_f1_group_interval"], ""))
    for name in ("balanced_accuracy", "loss", "brier_score", "expected_calibration_error"):
        rows.append((name, metrics[name], None, ""))
    if clips["num_clips"] < document["dataset"]["num_sequences"]:  # Else it is the accuracy again.
        remark = f"  {clips['num_clips']:,} clips"
        rows.append(("accuracy of whole clips", clips["accuracy"], clips["accuracy_interval"], remark))
    majority, one_frame = baselines["majority_class"], baselines["single_frame"]
    remark = f"  {majority['class']}"
    if may_be_guessing(document):
        remark += "; the model is not surely better: train longer, or show more frames"
    rows.append(("always the same class", majority["accuracy"], None, remark))
    if one_frame is not None:
        rows.append(("the model, of one frame", one_frame["accuracy"], one_frame["accuracy_interval"], ""))
    found = [(name, row) for name, row in metrics["per_class"].items() if row["recall"] is not None]
    for name, row in sorted(found, key=lambda pair: pair[1]["recall"])[:_NUM_CLASSES]:
        rows.append(("worst recall", row["recall"], row["recall_interval"], f"  {name}"))
    return rows
