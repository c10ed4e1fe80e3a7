"""Writes captions with a decoder, and scores given ones: in the graph, a batch at once.

The score of a caption is the sum of the natural logarithms of its tokens' probabilities, with that of `END`.
`PAD`, `START` and `UNKNOWN` are never written. A caption has at most ``max_words`` words: after so many only
`END` is allowed, whatever its probability.
"""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from model.captions.decoder import END, PAD, START, UNKNOWN, CaptionDecoder

_NEVER = -1e9  # Finite: products of infinities with zeros would be no numbers.


class WrittenCaptions(layers.Layer):
    """Writes captions by beam search, or greedily where the beam is 1.

    A beam holds the ``beam`` best beginnings of captions by score / tokens ** length_penalty. In each step
    every one that has not ended is continued by all words, those that have ended stay as they are, and the
    best ``beam`` of all are kept. A beam that holds everything finds the best caption of all.

    Args:
        decoder: the decoder.
        max_words: the most words of a caption.
        beam: number of beginnings that are kept.
        length_penalty: 0 prefers short captions, 1 compares means over tokens.

    Call arguments:
        states, length: of the frames; see `CaptionDecoder`.

    Returns:
        The best captions: ``{"tokens": int32 (batch, max_words + 1), "log_probability": float32 (batch,)}``;
        tokens end with `END`, padded with `PAD`.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        max_words: int,
        beam: int = 1,
        length_penalty: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decoder = decoder
        self.max_words = max_words
        self.beam = beam
        self.length_penalty = length_penalty

    def call(self, states: Any, length: Any) -> dict[str, Any]:
        """See the class."""
        if self.beam == 1:
            tokens, scores = greedy(self.decoder, states, length, self.max_words)
        else:
            tokens, scores = beam_search(
                self.decoder, states, length, self.max_words, self.beam, self.length_penalty
            )
            tokens, scores = tokens[:, 0], scores[:, 0]
        return {"tokens": tokens, "log_probability": scores}


class CaptionScores(layers.Layer):
    """Scores given captions.

    Args:
        decoder: the decoder.

    Call arguments:
        states, length: of the frames; see `CaptionDecoder`.
        tokens: integers (batch, L), each row ends with `END` and is padded with `PAD`.

    Returns:
        ``{"log_probabilities": float32 (batch, L), "is_top": bool (batch, L)}``: of each token after those
        before it, and whether it is the most probable one; 0 and False where there is padding.
    """

    def __init__(self, decoder: CaptionDecoder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decoder = decoder

    def call(self, states: Any, length: Any, tokens: Any) -> dict[str, Any]:
        """See the class."""
        tokens = ops.cast(tokens, "int32")
        before = ops.concatenate([ops.full_like(tokens[:, :1], START), tokens[:, :-1]], axis=1)
        logits = self.decoder(before, states, length)
        found = ops.log_softmax(logits)
        chosen = ops.take_along_axis(found, tokens[..., None], axis=-1)[..., 0]
        is_real = ops.not_equal(tokens, PAD)
        is_top = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), tokens)
        return {
            "log_probabilities": ops.where(is_real, chosen, 0.0),
            "is_top": ops.logical_and(is_real, is_top),
        }


def greedy(decoder: CaptionDecoder, states: Any, length: Any, max_words: int) -> tuple[Any, Any]:
    """Write the most probable word after the other.

    Returns:
        Tokens, int32 (batch, max_words + 1), and scores, float32 (batch,).
    """
    hidden, carry = decoder.start(states, length)
    nothing = ops.zeros_like(length, dtype="int32")
    tokens = ops.repeat(nothing[:, None], max_words + 1, axis=1)
    score = ops.cast(nothing, "float32")

    def is_writing(place: Any, word: Any, *_: Any) -> Any:
        return ops.logical_and(place <= max_words, ops.logical_not(ops.all(ops.equal(word, END))))

    def write(place: Any, word: Any, hidden: Any, carry: Any, tokens: Any, score: Any) -> Any:
        logits, (hidden, carry) = decoder.step(word, (hidden, carry), states, length)
        found = _allowed(ops.log_softmax(logits), place, max_words)
        # Not `ops.argmax`: on TensorFlow it looks at bits, for which ONNX and LiteRT have no operators.
        best, following = (each[:, 0] for each in ops.top_k(found, 1))
        following = ops.cast(following, "int32")
        has_ended = ops.equal(word, END)
        score = score + ops.where(has_ended, 0.0, best)
        tokens = _with(tokens, place, ops.where(has_ended, PAD, following))
        return place + 1, ops.where(has_ended, END, following), hidden, carry, tokens, score

    start = (ops.convert_to_tensor(0, "int32"), ops.full_like(nothing, START), hidden, carry, tokens, score)
    *_, tokens, score = ops.while_loop(is_writing, write, start)
    return tokens, score


def beam_search(
    decoder: CaptionDecoder, states: Any, length: Any, max_words: int, beam: int, length_penalty: float
) -> tuple[Any, Any]:
    """Write captions by beam search; see `WrittenCaptions`.

    Returns:
        Tokens, int32 (batch, beam, max_words + 1), and scores, float32 (batch, beam), the best first. Where
        there are fewer captions than ``beam``, the scores of the others are below -1e8.
    """
    num_tokens = len(decoder.words)
    states, length = (ops.repeat(each, beam, axis=0) for each in (states, length))
    hidden, carry = decoder.start(states, length)
    nothing = ops.reshape(ops.zeros_like(length, dtype="int32"), (-1, beam))
    tokens = ops.repeat(nothing[..., None], max_words + 1, axis=-1)
    # All begin alike, so only the first is continued.
    is_first = ops.equal(ops.arange(beam, dtype="int32")[None] + nothing, 0)
    score = ops.where(is_first, 0.0, _NEVER)
    has_ended = ops.not_equal(nothing, 0)
    only_pad = ops.where(ops.equal(ops.arange(num_tokens, dtype="int32"), PAD), 0.0, _NEVER)

    def is_writing(
        place: Any, word: Any, hidden: Any, carry: Any, tokens: Any, score: Any, ended: Any
    ) -> Any:
        return ops.logical_and(place <= max_words, ops.logical_not(ops.all(ended)))

    def write(place: Any, word: Any, hidden: Any, carry: Any, tokens: Any, score: Any, ended: Any) -> Any:
        logits, (hidden, carry) = decoder.step(ops.reshape(word, (-1,)), (hidden, carry), states, length)
        found = ops.reshape(_allowed(ops.log_softmax(logits), place, max_words), (-1, beam, num_tokens))
        found = ops.where(ended[..., None], only_pad, found)
        scores = score[..., None] + found
        counts = ops.where(ended, _num_tokens(tokens), place + 1)
        weighed = scores / ops.cast(counts, "float32")[..., None] ** length_penalty
        _, chosen = ops.top_k(ops.reshape(weighed, (-1, beam * num_tokens)), beam)
        chosen = ops.cast(chosen, "int32")
        parent, word = chosen // num_tokens, chosen % num_tokens
        score = ops.take_along_axis(ops.reshape(scores, (-1, beam * num_tokens)), chosen, axis=1)
        ended = ops.logical_or(ops.take_along_axis(ended, parent, axis=1), ops.equal(word, END))
        tokens = _with(ops.take_along_axis(tokens, parent[..., None], axis=1), place, word)
        hidden, carry = (
            ops.reshape(
                ops.take_along_axis(ops.reshape(each, (-1, beam, decoder.units)), parent[..., None], axis=1),
                (-1, decoder.units),
            )
            for each in (hidden, carry)
        )
        return place + 1, word, hidden, carry, tokens, score, ended

    start = (ops.convert_to_tensor(0, "int32"), ops.full_like(nothing, START), hidden, carry, tokens, score)
    *_, tokens, score, _ = ops.while_loop(is_writing, write, (*start, has_ended))
    return tokens, score


def _allowed(found: Any, place: Any, max_words: int) -> Any:
    """Logarithms of probabilities, (n, V), where what must not be written is at most `_NEVER`.

    A sum, so that what is no number stays none: a choice of `_NEVER` would hide that a training diverged.
    """
    numbers = ops.arange(found.shape[-1], dtype="int32")
    is_end = ops.equal(numbers, END)
    is_word = ops.logical_and(numbers > UNKNOWN, place < max_words)
    return found + ops.where(ops.logical_or(is_end, is_word), 0.0, _NEVER)


def _with(tokens: Any, place: Any, word: Any) -> Any:
    """Tokens, (..., L), with a word, (...), at a place."""
    is_here = ops.equal(ops.arange(tokens.shape[-1], dtype="int32"), place)
    return ops.where(is_here, word[..., None], tokens)


def _num_tokens(tokens: Any) -> Any:
    """Numbers of tokens before padding, int32, at least 1."""
    is_real = ops.cast(ops.not_equal(tokens, PAD), "int32")
    return ops.maximum(ops.sum(is_real, axis=-1), 1)
