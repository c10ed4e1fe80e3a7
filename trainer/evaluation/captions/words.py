"""Words of captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from trainer.input.vocabulary import words_of

NUM_COMMON = 20


def distinct_words(captions: Iterable[str]) -> set[str]:
    """The words that occur in captions."""
    return {word for caption in captions for word in words_of(caption)}


def common_words(references: Iterable[Sequence[str]]) -> list[str]:
    """The `NUM_COMMON` words that the references of most sequences contain, the most common first.

    Args:
        references: of every sequence. Of equally common words, the alphabetically first comes first.
    """
    counts = Counter(word for texts in references for word in distinct_words(texts))
    return sorted(counts, key=lambda word: (-counts[word], word))[:NUM_COMMON]
