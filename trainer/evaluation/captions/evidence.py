"""Collects captions batch by batch: texts, and frames of the best and the worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError
from trainer.evaluation.captions.metrics import exact_matches, rouge_l, slice_row
from trainer.evaluation.captions.words import common_words, distinct_words
from trainer.evaluation.n_classes.evidence import strip_of
from trainer.evaluation.slices import SliceTally, Slicing

NUM_SHOWN = 16

_WORST, _BEST = 1, -1


@dataclass(frozen=True)
class CaptionAnswers:
    """The captions of a batch of consecutive records, in order.

    Attributes:
        numbers: numbers of the records in the split, int64 (n,).
        predicted: the captions that the model wrote, normalised; may be empty.
        log_probabilities: of these, natural logarithm, float64 (n,); finite.
        references: the captions of each record, normalised; at least one.
        labels: classes, int64 (n,); -1 in data sets without class labels.
        stored_lengths: number of frames of each record as stored, int64 (n,).
        clips: name of the clip of each record. Several records may be segments of one clip; a record with the
            name "" is a clip of its own.
        groups: name of the group of each record; "" where there is none.
        frames: what the model was shown, uint8 (n, T, H, W, C).
        length: number of real frames among them, integers (n,); those behind are padding.
    """

    numbers: npt.NDArray[np.int64]
    predicted: list[str]
    log_probabilities: npt.NDArray[np.float64]
    references: list[list[str]]
    labels: npt.NDArray[np.int64]
    stored_lengths: npt.NDArray[np.int64]
    clips: list[str]
    groups: list[str]
    frames: npt.NDArray[np.uint8]
    length: npt.NDArray[np.integer[Any]]


class CaptionEvidence:
    """The captions of the records of a split, in order.

    A record is better than another if its caption has the higher ROUGE-L, and of equal ones the higher
    log-probability. Of records that are equal in both, the one added first is shown first.

    Args:
        num_records: number of records in the split, n.
        slicings: the slicings to count by, by name; they take the columns that
            `trainer.evaluation.captions.slicings` lists.

    Attributes:
        numbers: numbers of the records in the split, int64 (n,).
        predicted: the captions that the model wrote.
        references: the captions of the records.
        log_probabilities: of the written captions, float64 (n,).
        exact: whether a caption equals one of its references, bool (n,).
        rouge_l: of the captions, float64 (n,).
        clips: names of the records' clips.
        groups: names of their groups.
        strips: some frames of the best and the worst records, uint8 (f, H, W, C) each, by place.
        num_sequences: number of records added so far.

    Raises:
        RequestError: if a slicing is called "word", which is built in.
    """

    def __init__(self, num_records: int, slicings: Mapping[str, Slicing]) -> None:
        if "word" in slicings:
            raise RequestError("slicing word: is built in; give another name")
        self.numbers = np.empty(num_records, np.int64)
        self.predicted: list[str] = []
        self.references: list[list[str]] = []
        self.log_probabilities = np.empty(num_records, np.float64)
        self.exact = np.empty(num_records, bool)
        self.rouge_l = np.empty(num_records, np.float64)
        self.clips: list[str] = []
        self.groups: list[str] = []
        self.strips: dict[int, npt.NDArray[np.uint8]] = {}
        self.num_sequences = 0
        self._slicings = dict(slicings)
        self._assigned = {name: np.empty(num_records, np.int32) for name in slicings}

    def add(self, answers: CaptionAnswers) -> None:
        """Add the captions of the next records.

        Raises:
            RequestError: if a slicing fails, or does not return a group for each record.
        """
        part = slice(self.num_sequences, self.num_sequences + len(answers.predicted))
        self.numbers[part] = answers.numbers
        self.log_probabilities[part] = answers.log_probabilities
        self.exact[part] = exact_matches(answers.predicted, answers.references)
        self.rouge_l[part] = rouge_l(answers.predicted, answers.references)
        self.predicted += answers.predicted
        self.references += answers.references
        self.clips += answers.clips
        self.groups += answers.groups
        columns: dict[str, npt.NDArray[Any]] = {
            "num_frames": answers.stored_lengths,
            "clip": np.array(answers.clips, str),
            "group": np.array(answers.groups, str),
            "caption": np.array([texts[0] for texts in answers.references], str),
        }
        for name, groups in SliceTally(self._slicings).assign(columns, answers.labels).items():
            self._assigned[name][part] = groups
        self.num_sequences = part.stop
        self._keep_strips(answers, part.start)

    def best(self) -> list[int]:
        """Places of the best `NUM_SHOWN` records in the order in which they were added, the best first."""
        return self._first(np.arange(self.num_sequences), _BEST)

    def worst(self) -> list[int]:
        """Places of the worst `NUM_SHOWN` records, the worst first."""
        return self._first(np.arange(self.num_sequences), _WORST)

    def slices(self) -> dict[str, Any]:
        """The part ``slices`` of ``metrics.json``: by slicing, then by group.

        ``word`` has a group for each of `common_words`: the records that have it in a reference. Unlike the
        groups of a slicing, these overlap.
        """
        found = {
            name: {group: self._row(self._assigned[name] == index) for index, group in enumerate(each.groups)}
            for name, each in self._slicings.items()
        }
        contained = [distinct_words(texts) for texts in self.references]
        words = common_words(self.references)
        return {
            "word": {word: self._row(np.array([word in each for each in contained])) for word in words},
            **found,
        }

    def _row(self, is_inside: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return slice_row(self.exact[is_inside], self.rouge_l[is_inside])

    def _first(self, places: npt.NDArray[np.int64], sign: int) -> list[int]:
        """The first `NUM_SHOWN` of ascending places, the worst or the best first."""
        keys = (sign * self.log_probabilities[places], sign * self.rouge_l[places])
        first: list[int] = places[np.lexsort(keys)[:NUM_SHOWN]].tolist()  # Stable.
        return first

    def _keep_strips(self, answers: CaptionAnswers, start: int) -> None:
        """Keep frames of the best and the worst records so far only."""
        places = np.array([*sorted(self.strips), *range(start, self.num_sequences)], np.int64)
        kept = {*self._first(places, _BEST), *self._first(places, _WORST)}
        new = {
            place: strip_of(answers.frames[place - start], int(answers.length[place - start]))
            for place in kept
            if place >= start
        }
        self.strips = {place: strip for place, strip in self.strips.items() if place in kept} | new
