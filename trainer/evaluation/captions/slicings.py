"""Slicings of sequences with captions; see `trainer.evaluation.slices`.

They take the columns that `trainer.evaluation.n_classes.slicings` lists and one more: "caption", an array of
str (n,), the first reference of each sequence. Labels are -1 in data sets without class labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trainer.evaluation.n_classes.slicings import Columns, clip_slicings
from trainer.evaluation.slices import Groups, Slicing
from trainer.input.vocabulary import words_of

_MOST_LENGTHS = 16


def caption_slicings(class_names: Sequence[str], num_frames: int, max_words: int) -> dict[str, Slicing]:
    """The slicings that every data set with captions has.

    Args:
        class_names: names of the classes; none for a data set without class labels.
        num_frames: number of frames that the model sees at once, its window.
        max_words: most words that the model writes.

    Returns:
        ``class``, where there are class labels, and ``duration``: see
        `trainer.evaluation.n_classes.slicings`. ``length``: by the number of words of the first reference,
        "1" (or none), "2" ... up to ``max_words`` or 16, and "more".
    """
    longest = min(max_words, _MOST_LENGTHS)

    def length(columns: Columns, labels: npt.NDArray[np.int64]) -> Groups:
        counts = np.array([len(words_of(caption)) for caption in columns["caption"].tolist()], np.int64)
        return np.clip(counts, 1, longest + 1) - 1

    slicings = clip_slicings(class_names, num_frames)
    if not class_names:
        del slicings["class"]
    lengths = [str(count) for count in range(1, longest + 1)]
    return {**slicings, "length": Slicing((*lengths, "more"), length)}
