"""Collects a model's answers of N classes batch by batch, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.n_classes.by_share import ShareTally
from trainer.evaluation.slices import SliceTally, Slicing

NUM_WORST = 16

_STRIP_FRAMES = 6
# Further views change which records are the worst. So the frames of more records are kept.
_NUM_KEPT = 4 * NUM_WORST


@dataclass(frozen=True)
class Answers:
    """The answers to a batch of consecutive records, in order.

    Attributes:
        numbers: numbers of the records in the split, int64 (n,).
        labels: classes, int64 (n,).
        probabilities: of the N classes after the last frame, of the first view, float32 (n, N).
        by_share: probabilities after 10 %, 20 % ... 100 % of the window's real frames, float32 (n, 10, N);
            None if they are not measured.
        num_frames: number of frames of each record as stored, int64 (n,).
        clips: name of the clip of each record. Several records may be segments of one clip; a record with the
            name "" is a clip of its own.
        groups: name of the group of each record; "" where there is none.
        frames: what the model was shown in the first view, uint8 (n, T, H, W, C).
        lengths: how many of these frames are real, int64 (n,).
    """

    numbers: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    by_share: npt.NDArray[np.float32] | None
    num_frames: npt.NDArray[np.int64]
    clips: list[str]
    groups: list[str]
    frames: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]


@dataclass(frozen=True)
class WorstRecords:
    """The records with the lowest probability of their label, the lowest first.

    Attributes:
        places: of the records in the order in which they were added, int64 (k,), k at most `NUM_WORST`.
        strips: some frames of the records, uint8 (f, H, W, C) each, by place. After several views a record
            may have none.
    """

    places: npt.NDArray[np.int64]
    strips: Mapping[int, npt.NDArray[np.uint8]]


def strip_of(frames: npt.NDArray[np.uint8], length: int) -> npt.NDArray[np.uint8]:
    """Copies at most six frames, evenly spread, uint8 (f, H, W, C).

    Args:
        frames: of a record, uint8 (T, H, W, C).
        length: how many are real; behind them, a short record is padded.
    """
    last = max(min(len(frames), length), 1) - 1
    strip: npt.NDArray[np.uint8] = frames[np.unique(np.linspace(0, last, _STRIP_FRAMES).round().astype(int))]
    return strip.copy()


class ClassEvidence:
    """The answers to the records of a split, in order.

    Args:
        num_records: number of records in the split, n.
        class_names: names of the N classes.
        slicings: the slicings to count by, by name; they take the columns that
            `trainer.evaluation.n_classes.slicings` lists.

    Attributes:
        class_names: names of the classes.
        probabilities: means over the views so far, float32 (n, N).
        labels: int64 (n,).
        numbers: numbers of the records in the split, int64 (n,).
        clips: names of their clips.
        groups: names of their groups.
        by_share: sums after each tenth of the frames, of the first view.
        num_sequences: number of records added so far.
    """

    def __init__(self, num_records: int, class_names: Sequence[str], slicings: Mapping[str, Slicing]) -> None:
        self.class_names = tuple(class_names)
        self.probabilities = np.empty((num_records, len(class_names)), np.float32)
        self.labels = np.empty(num_records, np.int64)
        self.numbers = np.empty(num_records, np.int64)
        self.clips: list[str] = []
        self.groups: list[str] = []
        self.by_share = ShareTally()
        self.num_sequences = 0
        self._views = np.zeros(num_records, np.int64)
        self._slicings = dict(slicings)
        self._assigned = {name: np.empty(num_records, np.int32) for name in slicings}
        self._strips: dict[int, npt.NDArray[np.uint8]] = {}

    def add(self, answers: Answers) -> None:
        """Add the answers to the next records, of their first view.

        Raises:
            RequestError: if a slicing fails, or does not return a group for each record.
        """
        part = slice(self.num_sequences, self.num_sequences + len(answers.labels))
        self.probabilities[part], self.labels[part] = answers.probabilities, answers.labels
        self.numbers[part] = answers.numbers
        self._views[part] = 1
        self.clips += answers.clips
        self.groups += answers.groups
        columns: dict[str, npt.NDArray[Any]] = {
            "num_frames": answers.num_frames,
            "clip": np.array(answers.clips, str),
            "group": np.array(answers.groups, str),
        }
        for name, groups in SliceTally(self._slicings).assign(columns, answers.labels).items():
            self._assigned[name][part] = groups
        if answers.by_share is not None:
            self.by_share.add(answers.by_share, answers.labels)
        self.num_sequences = part.stop
        self._keep_strips(answers, part.start)

    def add_view(self, start: int, probabilities: npt.NDArray[np.float32]) -> None:
        """Add the answers of a further view of records that were added before.

        Args:
            start: place of the first record, in the order in which they were added.
            probabilities: of that record and those after it, float32 (n, N).
        """
        part = slice(start, start + len(probabilities))
        self._views[part] += 1
        shares = np.float32(1) / self._views[part, None].astype(np.float32)
        self.probabilities[part] += (probabilities - self.probabilities[part]) * shares

    def of_labels(self) -> npt.NDArray[np.float32]:
        """Probability of each record's label, float32 (n,)."""
        found: npt.NDArray[np.float32] = np.take_along_axis(self.probabilities, self.labels[:, None], 1)[:, 0]
        return found

    def slices(self) -> dict[str, Any]:
        """The part ``slices`` of ``metrics.json``."""
        tally = SliceTally(self._slicings)
        tally.count(self._assigned, self.probabilities.argmax(1) == self.labels)
        return tally.document()

    def worst(self) -> WorstRecords:
        """The worst records by the mean over the views; among equals, those added first."""
        places = np.argsort(self.of_labels(), kind="stable")[:NUM_WORST]
        return WorstRecords(places, self._strips)

    def _keep_strips(self, answers: Answers, start: int) -> None:
        """Keep frames of the worst records so far only."""
        of_labels = np.take_along_axis(answers.probabilities, answers.labels[:, None], 1)[:, 0]
        new = (start + np.argsort(of_labels, kind="stable")[:_NUM_KEPT]).tolist()
        worst = sorted([*self._strips, *new], key=lambda place: (self._of_label(place), place))[:_NUM_KEPT]
        kept = {place: strip for place, strip in self._strips.items() if place in worst}
        for place in set(new) & set(worst):
            kept[place] = strip_of(answers.frames[place - start], int(answers.lengths[place - start]))
        self._strips = kept

    def _of_label(self, place: int) -> float:
        return float(self.probabilities[place, self.labels[place]])
