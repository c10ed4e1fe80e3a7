"""The parts of ``metrics.json`` of a model that describes: their numbers, and their names in checks.

``docs/metrics.schema.json`` is its JSON Schema.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.evaluation.captions.evidence import CaptionAnswers, CaptionEvidence
from trainer.evaluation.captions.metrics import (
    TokenSums,
    by_position,
    exact_matches,
    rouge_l,
    shuffled_places,
    text_metrics,
    variety,
)
from trainer.evaluation.intervals import LEVEL
from trainer.evaluation.n_classes.document import escaped
from trainer.evaluation.n_classes.group_bootstrap import group_intervals, independent_units
from trainer.evaluation.number_names import named_row
from trainer.evaluation.slices import Slicing


@dataclass(frozen=True)
class Writing:
    """How captions were written.

    Attributes:
        vocabulary_size: number of tokens that the model has, special ones included.
        vocabulary_sha256: digest of the vocabulary, 64 hexadecimal digits.
        max_words: most words of a written caption.
        beam: number of hypotheses; 1 is greedy.
        length_penalty: the exponent of a hypothesis' number of tokens.
    """

    vocabulary_size: int
    vocabulary_sha256: str
    max_words: int
    beam: int = 1
    length_penalty: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """The part ``captions``."""
        return {
            "vocabulary_size": self.vocabulary_size,
            "vocabulary_sha256": self.vocabulary_sha256,
            "decoding": {
                "beam": self.beam,
                "length_penalty": self.length_penalty,
                "max_words": self.max_words,
            },
        }


def results(
    evidence: CaptionEvidence, writing: Writing, tokens: TokenSums, shuffled_tokens: TokenSums | None
) -> dict[str, Any]:
    """Compute all numbers from a model's captions.

    Args:
        evidence: the captions of a whole split.
        writing: how they were written.
        tokens: of the first reference of every record, shown the record's frames.
        shuffled_tokens: of the first reference of another record, as `shuffled_places` says; None for a split
            of one record.

    Returns:
        The parts ``task``, ``captions``, ``intervals``, ``metrics``, ``shuffled``, ``by_position``,
        ``slices``, ``best`` and ``worst``.
    """
    predicted, references = evidence.predicted, evidence.references
    texts = text_metrics(predicted, references, evidence.exact, evidence.rouge_l)
    return {
        "task": "describe",
        "captions": writing.to_json(),
        "intervals": {"level": LEVEL, "proportions": "wilson", "groups": "bootstrap"},
        "metrics": {
            **texts,
            "exact_match_group_interval": _group_interval(evidence),
            **tokens.metrics(),
            "mean_log_probability": math.fsum(evidence.log_probabilities) / len(predicted),
            **variety(predicted),
        },
        "shuffled": _shuffled(evidence, shuffled_tokens),
        "by_position": by_position(predicted, references, writing.max_words),
        "slices": evidence.slices(),
        "best": _shown(evidence, evidence.best()),
        "worst": _shown(evidence, evidence.worst()),
    }


def _group_interval(evidence: CaptionEvidence) -> list[float] | None:
    """By a bootstrap over groups: of two classes, wrong and right, of which each label is right."""
    units = independent_units(evidence.groups, evidence.clips)
    right = np.ones(len(units), np.int64)
    return group_intervals(units, right, evidence.exact.astype(np.int64), 2)["accuracy_group_interval"]


def _shuffled(evidence: CaptionEvidence, tokens: TokenSums | None) -> dict[str, Any] | None:
    places = shuffled_places(evidence.num_sequences)
    assert (places is None) == (tokens is None), "tokens of shuffled captions are of more than one record"
    if places is None or tokens is None:
        return None
    references = [evidence.references[place] for place in places.tolist()]
    exact, scores = exact_matches(evidence.predicted, references), rouge_l(evidence.predicted, references)
    return {**text_metrics(evidence.predicted, references, exact, scores), **tokens.metrics()}


def _shown(evidence: CaptionEvidence, places: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "number": int(evidence.numbers[place]),
            "clip": evidence.clips[place],
            "predicted": evidence.predicted[place],
            "references": evidence.references[place],
            "exact_match": bool(evidence.exact[place]),
            "rouge_l": float(evidence.rouge_l[place]),
            "log_probability": float(evidence.log_probabilities[place]),
        }
        for place in places
    ]


def named_numbers(document: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers of a document of captions by name; see `trainer.evaluation.document.named_numbers`.

    In names of words and classes, a backslash stands before a dot and a backslash.
    """
    return dict(_numbers(document))


def _numbers(document: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield from named_row("", document["metrics"])
    yield from named_row("shuffled.", document["shuffled"] or {})
    for row in document["by_position"]:
        rest = {name: value for name, value in row.items() if name != "position"}
        yield from named_row(f"by_position.{row['position']}.", rest)
    for name, groups in document["slices"].items():
        for group, row in groups.items():
            yield from named_row(f"slices.{name}.{escaped(group)}.", row)


def number_names(
    slicings: Mapping[str, Slicing], max_words: int, words: Sequence[str], *, shuffled: bool
) -> list[str]:
    """The names that `named_numbers` will give, before the evaluation.

    Args:
        slicings: the slicings of the evaluation, by name.
        max_words: most words of a written caption.
        words: the `common_words` of the references of the split.
        shuffled: whether the split has more than one record.
    """
    count = 2 if shuffled else 1
    example = CaptionEvidence(count, slicings)
    numbers = np.zeros(count, np.int64)
    answers = CaptionAnswers(
        numbers=numbers,
        predicted=[""] * count,
        log_probabilities=np.zeros(count),
        references=[list(words) or [""]] * count,
        labels=numbers,
        stored_lengths=np.ones(count, np.int64),
        clips=[""] * count,
        groups=[""] * count,
        frames=np.zeros((count, 1, 1, 1, 1), np.uint8),
        length=np.ones(count, np.int64),
    )
    example.add(answers)
    tokens = TokenSums(1, 1, 0.0)
    document = results(example, Writing(0, "", max_words), tokens, tokens if shuffled else None)
    return list(named_numbers(document))
