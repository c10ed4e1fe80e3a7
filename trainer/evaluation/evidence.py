"""Collects a model's answers batch by batch, with sums over them, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.by_frame import FrameTally
from trainer.evaluation.slices import SliceTally, Slicing
from trainer.input.dataset_spec import DatasetSpec
from trainer.tasks.trainable_kind import Labels, traced_kind

NUM_WORST = 16


@dataclass(frozen=True)
class WorstSequences:
    """The sequences with the lowest probability for their label, the lowest first.

    Attributes:
        numbers: numbers of the sequences in the split, int64 (k,), k at most `NUM_WORST`.
        labels: int64 (k,).
        right: probability of "right", float64 (k,).
        traces: of the sequences, uint8 (k, ...); see `trainer.tasks.trainable_kind.TracedKind`.
    """

    numbers: npt.NDArray[np.int64]
    labels: Labels
    right: npt.NDArray[np.float64]
    traces: npt.NDArray[np.uint8]

    def merged_with(self, more: WorstSequences) -> WorstSequences:
        """The worst `NUM_WORST` of both; among equals, those with the lower numbers."""
        numbers = np.concatenate([self.numbers, more.numbers])
        labels = np.concatenate([self.labels, more.labels])
        right = np.concatenate([self.right, more.right])
        traces = np.concatenate([self.traces, more.traces])
        worst = np.lexsort((numbers, -np.abs(labels - right)))[:NUM_WORST]
        return WorstSequences(numbers[worst], labels[worst], right[worst], traces[worst])


class Evidence:
    """The answers to the sequences of a split, in order.

    Args:
        num_sequences: number of sequences in the split, n.
        num_frames: number of frames that the model sees of a sequence, T.
        spec: of the data set.
        slicings: the slicings to count by, by name.

    Attributes:
        spec: of the data set.
        right: probability of "right" after the last frame, float32 (n,).
        labels: uint8 (n,), 0 = left, 1 = right.
        by_frame: sums after each frame.
        slices: sums over groups of sequences.
        worst: the sequences with the lowest probability for their label.
        num_sequences: number of sequences added so far.
    """

    def __init__(
        self, num_sequences: int, num_frames: int, spec: DatasetSpec, slicings: Mapping[str, Slicing]
    ) -> None:
        self.spec = spec
        self.right = np.empty(num_sequences, np.float32)
        self.labels = np.empty(num_sequences, np.uint8)
        self.by_frame = FrameTally(num_frames)
        self.slices = SliceTally(slicings)
        nothing = np.empty(0, np.int64)
        no_traces = np.empty((0, *traced_kind(spec).trace_shape(spec)), np.uint8)
        self.worst = WorstSequences(nothing, nothing, np.empty(0), no_traces)
        self.num_sequences = 0

    def add(
        self,
        numbers: npt.NDArray[np.int64],
        right: npt.NDArray[np.floating[Any]],
        labels: Labels,
        traces: npt.NDArray[np.uint8],
    ) -> None:
        """Add the next sequences.

        Args:
            numbers: numbers of the sequences in the split, int64 (n,).
            right: probability of "right" after each frame, (n, T).
            labels: int64 (n,).
            traces: of the sequences, uint8 (n, ...).
        """
        start, stop = self.num_sequences, self.num_sequences + len(labels)
        last = right[:, -1]
        self.right[start:stop], self.labels[start:stop] = last, labels
        self.by_frame.add(right, labels)
        self.slices.add(traces, labels, (last > 0.5) == (labels == 1))
        self.worst = self.worst.merged_with(WorstSequences(numbers, labels, last.astype(np.float64), traces))
        self.num_sequences = stop
