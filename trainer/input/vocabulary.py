"""Words and their numbers: the vocabulary of a training's captions, and captions as tokens in the graph.

A caption's words are what spaces separate; captions are stored so that this is enough, see
`pipeline.dataset.captions`.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from model.captions import END, PAD, SPECIAL, START, UNKNOWN

_MOST_BUCKETS = 2**63 - 1


@dataclass(frozen=True)
class Vocabulary:
    """Words and their numbers.

    Attributes:
        words: the tokens by number: `model.captions.SPECIAL`, then the words.
        max_words: the most words of a caption; what comes after is cut off.
    """

    words: tuple[str, ...]
    max_words: int

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the words in their order."""
        return hashlib.sha256(json.dumps(self.words).encode()).hexdigest()

    def tokens(self, caption: str) -> list[int]:
        """Numbers of a caption's words and `END`, padded with `PAD` to max_words + 1."""
        found = [self._numbers.get(word, UNKNOWN) for word in words_of(caption)[: self.max_words]]
        return [*found, END, *[PAD] * (self.max_words - len(found))]

    def text(self, tokens: Sequence[int]) -> str:
        """The caption of tokens: the words before the first `END`."""
        numbers = [int(token) for token in tokens]
        end = numbers.index(END) if END in numbers else len(numbers)
        return " ".join(self.words[number] for number in numbers[:end])

    def tokens_in_graph(self, captions: tf.Tensor) -> tf.Tensor:
        """As `tokens`, of captions string (n,): int32 (n, max_words + 1).

        Words are found by 64-bit fingerprints, with constants alone: a table would be a resource, which
        cannot be sent to a tf.data service.
        """
        words = tf.strings.split(captions)[:, : self.max_words]
        hashes, numbers = self._hashes()
        wanted = _fingerprints(words.values)
        places = tf.minimum(tf.searchsorted(hashes, wanted), numbers.shape[0] - 1)
        found = tf.where(tf.gather(hashes, places) == wanted, tf.gather(numbers, places), UNKNOWN)
        ends = tf.fill([tf.size(captions), 1], END)
        tokens = tf.concat([words.with_values(found), ends], axis=1)
        return tokens.to_tensor(PAD, shape=[None, self.max_words + 1])

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words) if number >= len(SPECIAL)}

    def _hashes(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Fingerprints of the words, sorted, int64, and the words' numbers, int32."""
        with tf.init_scope():
            hashes = _fingerprints(tf.constant(self.words[len(SPECIAL) :])).numpy()
        order = np.argsort(hashes)
        numbers = (order + len(SPECIAL)).astype(np.int32)
        if (np.diff(hashes[order]) == 0).any():
            raise ValueError("two words have one fingerprint")
        return tf.constant(hashes[order]), tf.constant(numbers)


def words_of(caption: str) -> list[str]:
    """The words of a caption. ASCII spaces separate them, as in the graph."""
    return [word.decode() for word in caption.encode().split()]


def input_tokens(tokens: tf.Tensor) -> tf.Tensor:
    """The tokens before each place: `START`, then all but the last; (n, L)."""
    return tf.concat([tf.fill([tf.shape(tokens)[0], 1], START), tokens[:, :-1]], axis=1)


def _fingerprints(words: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(words, _MOST_BUCKETS)
