"""Statistics of captions: the vocabulary of the training split, captions an example, words a caption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.features import Text
from pipeline.dataset.reader import Dataset

_TRAIN = "train"


@dataclass(frozen=True)
class CaptionCounts:
    """Counts over the captions of a split.

    Attributes:
        captions: numbers of examples by their number of captions.
        lengths: numbers of captions by their number of words.
        words: how often each word occurs.
    """

    captions: Counter[int]
    lengths: Counter[int]
    words: Counter[str]

    @classmethod
    def of(cls, examples: Iterable[Sequence[str]]) -> CaptionCounts:
        """The counts of examples, each given as its captions; words are what stands between spaces."""
        found = cls(Counter(), Counter(), Counter())
        for captions in examples:
            found.captions[len(captions)] += 1
            for caption in captions:
                words = caption.split()
                found.lengths[len(words)] += 1
                found.words.update(words)
        return found


def caption_lines(dataset: Dataset) -> list[str]:
    """Describe the captions of a data set, as lines of text; none if it has no feature ``caption`` of texts.

    Reads every record. Several records of one source, as the segments of a clip, count once.

    Raises:
        RequestError: see `Manifest.definition`.
        WorkError: if a shard is damaged or missing.
    """
    if not isinstance(dataset.manifest.features.get("caption"), Text):
        return []
    counts = {split: CaptionCounts.of(_captions(dataset, split)) for split in dataset.manifest.splits}
    known = counts[_TRAIN].words if _TRAIN in counts else None
    lines = [] if known is None else [f"  {'vocabulary':<10} {len(known):,} words in {_TRAIN}"]
    for split, found in counts.items():
        parts = [f"{_range(found.captions)} captions an example", f"{_range(found.lengths)} words a caption"]
        if known is not None and split != _TRAIN:
            unknown = sum(count for word, count in found.words.items() if word not in known)
            parts.append(f"{unknown / max(1, found.words.total()):.2%} of the words not in {_TRAIN}")
        lines.append(f"  {split:<10} {', '.join(parts)}")
    return lines


def _captions(dataset: Dataset, split: str) -> Iterator[Sequence[str]]:
    definition, last = dataset.manifest.definition, ""
    for payload in dataset.read(split, 0, dataset.num_sequences(split)):
        example: Mapping[str, Any] = definition.decode(payload)
        name = definition.source_name(example)
        if not name or name != last:
            caption = example["caption"]
            yield [caption] if isinstance(caption, str) else caption
        last = name


def _range(counts: Counter[int]) -> str:
    """Smallest, median (of an even number, the lower one) and largest: ``1 to 5 (median 2)``."""
    values = sorted(counts)
    half, seen = (counts.total() + 1) // 2, 0
    for value in values:
        seen += counts[value]
        if seen >= half:
            return f"{values[0]:,} to {values[-1]:,} (median {value:,})"
    return "no"
