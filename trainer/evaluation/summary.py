"""Prints ``metrics.json`` as text, and the results of its checks as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.evaluation.captions import summary as of_captions
from trainer.evaluation.n_classes import summary as of_n_classes

_BOUNDS = {
    "min": "at least {limit:g}",
    "max": "at most {limit:g}",
    "min_change": "change at least {limit:+g}",
    "max_change": "change at most {limit:+g}",
}


def summary_text(document: Mapping[str, Any]) -> str:
    """The main numbers of a document, a line each."""
    dataset, throughput = document["dataset"], document["throughput"]
    lost = dataset["left_out"]["num_sequences"]
    lines = [
        f"{dataset['num_sequences']:,} sequences of split {dataset['split']}"
        f"{f' ({lost:,} damaged ones left out)' if lost else ''},"
        f" model after {document['model']['step']} steps",
    ]
    slices, score = document["slices"], "accuracy"
    if "classes" in document:
        lines += [_line(*row[:3]) + row[3] for row in of_n_classes.summary_rows(document)]
        slices = {name: groups for name, groups in slices.items() if name != "class"}
    elif "captions" in document:
        lines += [_line(*row[:3]) + row[3] for row in of_captions.summary_rows(document)]
        score = "rouge_l"
    else:
        lines += _of_lines(document)
    if (worst := _worst_slice(slices, score)) is not None:
        name, row = worst
        lines.append(_line("worst slice", row[score], row.get(f"{score}_interval")) + f" {name}")
    rate, device = throughput["sequences_per_second"], throughput["device"]
    lines.append(f"  {'throughput':<27}{rate:,.0f} sequences/s on {device}")
    return "\n".join(lines)


def _of_lines(document: Mapping[str, Any]) -> list[str]:
    metrics, lines = document["metrics"], []
    for name in ("accuracy", "precision", "recall", "roc_auc"):
        lines.append(_line(name, metrics[name], metrics[f"{name}_interval"]))
    for name in ("f1", "loss", "brier_score", "expected_calibration_error"):
        lines.append(_line(name, metrics[name]))
    lines.append(f"  {'errors':<27}{metrics['errors']}")
    lines.append(f"  {'confusion matrix':<27}{metrics['confusion_matrix']}  (rows: left, right)")
    first = document["accuracy_by_frame"]["first_frame_at_99_percent"]
    num_frames = len(document["accuracy_by_frame"]["frames"])
    reached = "not reached" if first is None else f"after {first} of {num_frames} frames"
    lines.append(f"  {'99 % right':<27}{reached}")
    for row in document["robustness"]:
        name = f"accuracy, {row['flipped']:g} flipped"
        lines.append(_line(name, row["accuracy"], row["accuracy_interval"]))
    return lines


def checks_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The results of checks, a line each, failed ones first.

    Args:
        rows: as `trainer.evaluation.checks.Gate.results` returns them; at least one.
    """
    width = max(len(row["name"]) for row in rows)
    lines = [f"{sum(row['passed'] for row in rows)} of {len(rows)} checks passed"]
    for row in sorted(rows, key=lambda row: bool(row["passed"])):
        verdict = "passed" if row["passed"] else "FAILED"
        value = f"{verdict}  {row['name']:<{width}}  {number_text(row['value'])}"
        before = row["baseline"]
        if before is not None and row["value"] is not None:
            value += f", {row['value'] - before:+.6g} from {number_text(before)}"
        lines.append(f"  {value} ({bound_text(row)})")
    return "\n".join(lines)


def bound_text(row: Mapping[str, Any]) -> str:
    """The bound of a check's row, as text."""
    return _BOUNDS[row["bound"]].format(limit=row["limit"])


def number_text(value: float | None) -> str:
    """A number as text: integers in full, floats with six digits."""
    if value is None:
        return "not defined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _worst_slice(slices: Mapping[str, Any], score: str) -> tuple[str, Mapping[str, Any]] | None:
    large = [
        (f"{name}: {group}", row)
        for name, groups in slices.items()
        for group, row in groups.items()
        if not row["is_small"]
    ]
    return min(large, key=lambda pair: pair[1][score], default=None)


def _line(name: str, value: float | None, interval: Sequence[float] | None = None) -> str:
    shown = "not defined" if value is None else format(value, ".6f")
    if interval is not None:
        shown += f"  (95 % interval {interval[0]:.6f} to {interval[1]:.6f})"
    return f"  {name:<27}{shown}"
