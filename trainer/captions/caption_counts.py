"""Counts the words of a split's captions, from which a training takes its vocabulary."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import tensorflow as tf

from model.captions import SPECIAL
from pipeline.command_line.errors import WorkError, one_line
from pipeline.storage.tf_example import decode_example, decode_sequence_example
from pipeline.storage.tfrecord import CorruptRecordError, read_records
from trainer.input.dataset_spec import CAPTION, DatasetSpec
from trainer.input.split_files import remedy
from trainer.input.vocabulary import Vocabulary, words_of


@dataclass(frozen=True)
class CaptionCounts:
    """What the captions of a split hold.

    Attributes:
        counts: how often each word occurs.
        num_captions: number of captions.
        num_clips: number of clips.
        num_empty: clips without a caption.
        lengths: numbers of words of the captions, and how many have so many.
    """

    counts: Counter[str]
    num_captions: int
    num_clips: int
    num_empty: int
    lengths: Counter[int]

    @classmethod
    def of(cls, clips: Iterable[Collection[bytes]]) -> CaptionCounts:
        """Count the captions of clips, given as bytes."""
        counts: Counter[str] = Counter()
        lengths: Counter[int] = Counter()
        num_clips = num_empty = 0
        for captions in clips:
            num_clips += 1
            num_empty += not len(captions)
            for caption in captions:
                words = words_of(caption.decode())
                counts.update(words)
                lengths[len(words)] += 1
        return cls(counts, lengths.total(), num_clips, num_empty, lengths)

    def vocabulary(self, min_word_count: int, max_words: int) -> Vocabulary:
        """The words that occur often enough, the most frequent first, else in alphabetical order."""
        kept = [word for word, count in self.counts.items() if count >= min_word_count]
        kept.sort(key=lambda word: (-self.counts[word], word))
        return Vocabulary((*SPECIAL, *kept), max_words)

    def mean_tokens(self, max_words: int) -> float:
        """Mean number of tokens of a caption, with `END`, where captions are cut off."""
        total = sum((min(length, max_words) + 1) * count for length, count in self.lengths.items())
        return total / self.num_captions


def caption_counts(spec: DatasetSpec, paths: Sequence[str]) -> CaptionCounts:
    """Count the captions of shards, without decoding frames.

    Records are read in Python: processes that train together are only known afterwards, and TensorFlow cannot
    take up others once it has run an operation.

    Args:
        spec: of a data set with captions.
        paths: of the shards.

    Raises:
        WorkError: naming the first damaged record.
    """
    return CaptionCounts.of(stored_captions(spec, paths))


def stored_captions(spec: DatasetSpec, paths: Sequence[str]) -> Iterator[Sequence[bytes]]:
    """The captions of every record of shards; see `caption_counts`."""
    for path in paths:
        yield from _captions(spec, path)


def _captions(spec: DatasetSpec, path: str) -> Iterator[Sequence[bytes]]:
    """The captions of every record of a shard."""
    key, count = spec.keys.get(CAPTION, CAPTION), 0
    try:
        with tf.io.gfile.GFile(path, "rb") as stream:
            for payload in read_records(stream):
                message = decode_sequence_example(payload)[0] if spec.keys else decode_example(payload)
                yield [text for text in message[key] if isinstance(text, bytes)]
                count += 1
    except (CorruptRecordError, OSError, tf.errors.OpError) as error:
        raise WorkError(f"{path}: {one_line(error)}; {remedy(os.path.dirname(path))}") from error
    except (ValueError, LookupError) as error:
        reason = f"record {count}: {one_line(error)}"
        raise WorkError(f"{path}: {reason}; {remedy(os.path.dirname(path))}") from error
