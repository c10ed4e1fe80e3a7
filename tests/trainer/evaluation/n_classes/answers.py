"""Answers made up for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.evaluation.document import SCHEMA_VERSION
from trainer.evaluation.n_classes.document import results
from trainer.evaluation.n_classes.evidence import Answers, ClassEvidence
from trainer.evaluation.n_classes.slicings import clip_slicings


def made_up_answers(
    count: int,
    num_classes: int,
    seed: int = 0,
    skill: float = 2.0,
    channels: int = 3,
    clips: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> Answers:
    """Random answers, which are right the more often the higher the skill."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, count)
    shares = np.linspace(0.1, 1, 10)[:, None]
    logits = random.normal(0, 1, (count, 1, num_classes)) + skill * shares * np.eye(num_classes)[labels, None]
    by_share = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32)
    num_frames = random.integers(1, 41, count)
    return Answers(
        numbers=np.arange(count),
        labels=labels,
        probabilities=by_share[:, -1],
        by_share=by_share,
        num_frames=num_frames,
        clips=[""] * count if clips is None else list(clips),
        groups=[""] * count if groups is None else list(groups),
        frames=random.integers(0, 256, (count, 8, 12, 16, channels), np.uint8),
        lengths=np.minimum(num_frames, 8),
    )


def evidence_of(answers: Answers, class_names: Sequence[str], batch_size: int = 64) -> ClassEvidence:
    """The evidence of answers, added in batches."""
    count = len(answers.labels)
    evidence = ClassEvidence(count, class_names, clip_slicings(class_names, 16))
    for start in range(0, count, batch_size):
        part = slice(start, start + batch_size)
        evidence.add(
            Answers(
                answers.numbers[part],
                answers.labels[part],
                answers.probabilities[part],
                None if answers.by_share is None else answers.by_share[part],
                answers.num_frames[part],
                answers.clips[part],
                answers.groups[part],
                answers.frames[part],
                answers.lengths[part],
            )
        )
    return evidence


def names_of(num_classes: int) -> list[str]:
    return [f"class {number}" for number in range(num_classes)]


def document_of(evidence: ClassEvidence, single_frame: ClassEvidence | None) -> dict[str, Any]:
    """A whole document of ``metrics.json``."""
    return judged_document(evidence.num_sequences, results(evidence, single_frame, 1))


def judged_document(num_sequences: int, judged: dict[str, Any]) -> dict[str, Any]:
    """A whole document of ``metrics.json`` with the results of a judge."""
    digest = "sha256:" + "a" * 64
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {
            "run": "/run",
            "path": "/run/" + "long/" * 20 + "model.keras",
            "sha256": "b" * 64,
            "step": 12,
            "config_sha256": "c" * 64,
            "trained_on": digest,
        },
        "request": {"batch_size": 64, "flips": [], "seed": 0, "on_corrupt": "fail", "slices": None},
        "code": {"version": "0.1.0", "sha256": "d" * 64},
        "dataset": {
            "name": "clips",
            "path": "/data",
            "split": "test",
            "fingerprint": digest,
            "content_digest": digest,
            "content_sha256": "e" * 64,
            "num_sequences": num_sequences,
            "left_out": {"num_sequences": 0, "shards": {}},
        },
        **judged,
        "checks": [],
        "passed": None,
        "throughput": {"seconds": 1.0, "sequences_per_second": 100.0, "device": "CPU"},
        "environment": {"python": "3.11"},
    }
