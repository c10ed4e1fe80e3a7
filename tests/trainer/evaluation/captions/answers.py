"""Captions made up for tests."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from tests.trainer.evaluation.n_classes.answers import judged_document
from trainer.evaluation.captions.document import Writing, results
from trainer.evaluation.captions.evidence import CaptionAnswers, CaptionEvidence
from trainer.evaluation.captions.metrics import TokenSums
from trainer.evaluation.captions.slicings import caption_slicings

WRITING = Writing(vocabulary_size=40, vocabulary_sha256="f" * 64, max_words=8)
TOKENS, SHUFFLED_TOKENS = TokenSums(1000, 800, 512.5), TokenSums(1000, 300, 2048.25)
DIRECTIONS = ("left", "right", "up", "down")


def written(predicted: Sequence[str], references: Sequence[Sequence[str]], **columns: Any) -> CaptionAnswers:
    """Answers with these captions; the other columns are plain if they are not given."""
    count = len(predicted)
    answers = CaptionAnswers(
        numbers=np.arange(count),
        predicted=list(predicted),
        log_probabilities=np.full(count, -1.0),
        references=[list(texts) for texts in references],
        labels=np.full(count, -1),
        stored_lengths=np.full(count, 16),
        clips=[""] * count,
        groups=[""] * count,
        frames=np.zeros((count, 2, 4, 4, 1), np.uint8),
        length=np.full(count, 2),
    )
    return replace(answers, **columns)


def made_up_captions(count: int, seed: int = 0, channels: int = 1, num_references: int = 2) -> CaptionAnswers:
    """Captions of two directions; of each caption, the second direction is wrong in half of the cases."""
    random = np.random.default_rng(seed)
    truths = random.integers(0, 4, (count, 2))
    seconds = np.where(random.uniform(size=count) < 0.5, truths[:, 1], random.integers(0, 4, count))
    references = []
    for number, (first, second) in enumerate(truths):
        texts = [f"a {number % 10} moves {DIRECTIONS[first]} then {DIRECTIONS[second]}"]
        if num_references > 1 and number % 3 == 0:
            texts.append(f"first {DIRECTIONS[first]} then {DIRECTIONS[second]} goes the {number % 10}")
        references.append(texts)
    predicted = [
        f"a {number % 10} moves {DIRECTIONS[first]} then {DIRECTIONS[second]}"
        for number, (first, second) in enumerate(zip(truths[:, 0], seconds, strict=True))
    ]
    return written(
        predicted,
        references,
        log_probabilities=-random.integers(0, 20, count) / 4,  # With ties.
        labels=np.arange(count) % 3,
        stored_lengths=random.integers(1, 41, count),
        frames=random.integers(0, 256, (count, 8, 12, 16, channels), np.uint8),
        length=random.integers(1, 9, count),
    )


def part_of(answers: CaptionAnswers, part: slice) -> CaptionAnswers:
    return CaptionAnswers(**{each.name: getattr(answers, each.name)[part] for each in fields(answers)})


def evidence_of(
    answers: CaptionAnswers, class_names: Sequence[str] = (), batch_size: int = 64
) -> CaptionEvidence:
    """The evidence of captions, added in batches."""
    count = len(answers.predicted)
    evidence = CaptionEvidence(count, caption_slicings(class_names, 16, WRITING.max_words))
    for start in range(0, count, batch_size):
        evidence.add(part_of(answers, slice(start, start + batch_size)))
    return evidence


def results_of(evidence: CaptionEvidence) -> dict[str, Any]:
    shuffled = SHUFFLED_TOKENS if evidence.num_sequences > 1 else None
    return results(evidence, WRITING, TOKENS, shuffled)


def document_of(evidence: CaptionEvidence) -> dict[str, Any]:
    """A whole document of ``metrics.json``."""
    return judged_document(evidence.num_sequences, results_of(evidence))
