"""Joins the answers to the segments of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.evaluation.n_classes.evidence import ClassEvidence

_BLOCK_CLIPS = 1024


@dataclass(frozen=True)
class ClipAnswers:
    """Answers to whole clips.

    Attributes:
        probabilities: means over the clips' records, float32 (k, N).
        labels: those of their first records, int64 (k,).
        groups: names of the groups of their first records.
    """

    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    groups: list[str]


def clip_answers(evidence: ClassEvidence) -> ClipAnswers:
    """The answers to clips, in the order of their first records; a record without a clip's name is one."""
    known: dict[str | int, int] = {}
    clips = np.fromiter(
        (known.setdefault(clip or number, len(known)) for number, clip in enumerate(evidence.clips)),
        np.int64,
        len(evidence.clips),
    )
    if len(known) == len(clips):
        return ClipAnswers(evidence.probabilities, evidence.labels, evidence.groups)
    order = np.argsort(clips, kind="stable")
    starts = np.searchsorted(clips[order], np.arange(len(known) + 1))
    means = np.empty((len(known), len(evidence.class_names)), np.float32)
    for first in range(0, len(known), _BLOCK_CLIPS):
        ends = starts[first : first + _BLOCK_CLIPS + 1]
        rows = evidence.probabilities[order[ends[0] : ends[-1]]].astype(np.float64)
        sums = np.add.reduceat(rows, ends[:-1] - ends[0], 0)
        means[first : first + _BLOCK_CLIPS] = sums / np.diff(ends)[:, None]
    firsts = order[starts[:-1]]
    return ClipAnswers(means, evidence.labels[firsts], [evidence.groups[place] for place in firsts])
