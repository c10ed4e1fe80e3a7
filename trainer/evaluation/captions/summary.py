"""The main numbers of captions, for the printed summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.evaluation.n_classes.summary import Row

_MOST_POSITIONS = 10


def summary_rows(document: Mapping[str, Any]) -> list[Row]:
    """The main numbers of a document: name, value, interval (None for none) and a remark, "" for none.

    The remark is the number with captions of other clips as references.
    """
    metrics, shuffled = document["metrics"], document["shuffled"] or {}
    rows: list[Row] = []
    for name in ("exact_match", "bleu_4", "rouge_l", "token_accuracy", "perplexity"):
        remark = f"  shuffled {shuffled[name]:.6f}" if name in shuffled else ""
        rows.append((name, metrics[name], metrics.get(f"{name}_interval"), remark))
    if (interval := metrics["exact_match_group_interval"]) is not None:
        rows.insert(1, ("exact_match, groups drawn", metrics["exact_match"], interval, ""))
    distinct = f"  {metrics['distinct_captions']:,} captions"
    rows.append(("mean_log_probability", metrics["mean_log_probability"], None, ""))
    rows.append(("distinct captions, share", metrics["distinct_captions_share"], None, distinct))
    rows.append(("most common caption, share", metrics["most_common_caption_share"], None, ""))
    words = [row for row in document["by_position"] if row["num_sequences"]]
    if len(words) <= _MOST_POSITIONS:
        rows += [(f"word {row['position']}", row["accuracy"], row["accuracy_interval"], "") for row in words]
    return rows
