"""The decoder of captions: an LSTM that answers, after every word, with logits of the next one.

Token numbers: `PAD`, `START`, `END` and `UNKNOWN`, then the words of the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from model.frames.over_time import LastState
from model.recurrent import ProjectedLSTM

PAD, START, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")

# Hidden state and carry of the decoder's LSTM, (n, units) each.
State = tuple[Any, Any]


def is_token(tokens: Any, num_tokens: int, dtype: Any) -> Any:
    """Zeros, and ones where a token is: (..., num_tokens), of integers (...).

    Products with it stand for gathering, which has no deterministic gradient on every device. Numbers are
    compared as float32, for TensorFlow computes with int32 on the host only.
    """
    numbers = ops.arange(num_tokens, dtype="float32")
    return ops.cast(ops.equal(ops.cast(tokens, "float32")[..., None], numbers), dtype)


@keras.saving.register_keras_serializable("moving_lines")
class CaptionDecoder(layers.Layer):
    """An LSTM language model that starts from what an encoder made of a clip (Vinyals et al., 2015).

    Before a word is told, its hidden state is joined with what is seen of the clip, as in Donahue et al.
    (2015): without that, a language is learned first, and the clip much later or not at all. What is seen is
    the state at the last frame, or, with attention, a mean of all frames' states weighed by scaled products
    with the hidden state (Luong et al., 2015, "dot", divided by the root of their size).

    Args:
        words: the tokens by number, V of them, `SPECIAL` first. They are kept in the model's file.
        units: of the LSTM.
        embedding_size: numbers that stand for a word, E.
        attention: whether there is attention.
        tied: whether logits are products with the words' embeddings (Press and Wolf, 2017), not with weights
            of their own.

    Call arguments:
        words: tokens before each place, integers (batch, L), the first one `START`.
        states: of the frames, (batch, timesteps, F).
        length: integers (batch,), numbers of real frames, at least 1.

    Returns:
        Logits of the token at each place, float32 (batch, L, V).
    """

    def __init__(
        self,
        words: Sequence[str],
        units: int,
        embedding_size: int,
        attention: bool = False,
        tied: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.words = tuple(words)
        self.units = units
        self.embedding_size = embedding_size
        self.has_attention = attention
        self.is_tied = tied
        dtype = self.dtype_policy
        self.last = LastState(dtype=dtype, name="last_state")
        self.hidden = layers.Dense(units, activation="tanh", dtype=dtype, name="hidden")
        self.carry = layers.Dense(units, dtype=dtype, name="carry")
        self.lstm = ProjectedLSTM(units, return_sequences=True, use_cudnn=False, dtype=dtype, name="lstm")
        self.query = layers.Dense(units, use_bias=False, dtype=dtype, name="query") if attention else None
        self.key = layers.Dense(units, use_bias=False, dtype=dtype, name="key") if attention else None
        self.seen = layers.Dense(units, activation="tanh", dtype=dtype, name="seen")
        self.output_words = (
            layers.Dense(embedding_size, dtype="float32", name="output")
            if tied
            else layers.Dense(len(self.words), dtype="float32", name="output")
        )

    def build(self, words_shape: Any, states_shape: Any, length_shape: Any = None) -> None:
        """Make the weights."""
        features = (None, states_shape[-1])
        self.embedding = self.add_weight(
            (len(self.words), self.embedding_size), initializer="glorot_uniform", name="embedding"
        )
        self.hidden.build(features)
        self.carry.build(features)
        self.lstm.build((None, None, self.embedding_size))
        self.seen.build((None, None, self.units + states_shape[-1]))
        if self.query is not None and self.key is not None:
            self.query.build((None, None, self.units))
            self.key.build((None, *features))
        self.output_words.build((None, None, self.units))
        super().build(states_shape)

    def call(self, words: Any, states: Any, length: Any) -> Any:
        """See the class."""
        is_word = is_token(words, len(self.words), self.compute_dtype)
        inputs = self._projected(ops.matmul(is_word, self._embedding(self.compute_dtype)))
        outputs = self.lstm.recur(inputs, self.start(states, length))
        return self._logits(outputs, states, length)

    def memory(self, states: Any, length: Any) -> tuple[Any, Any]:
        """What has to be kept of a clip to write its caption later.

        Returns:
            ``states`` and ``length`` with which all methods give what they give with the arguments: without
            attention of one timestep.
        """
        if self.has_attention:
            return states, length
        return self.last(states, length)[:, None], ops.ones_like(length)

    def start(self, states: Any, length: Any) -> State:
        """The state before the first word."""
        last = self.last(states, length)
        return self.hidden(last), self.carry(last)

    def step(self, words: Any, state: State, states: Any, length: Any) -> tuple[Any, State]:
        """Tell the next word.

        Args:
            words: the last tokens, integers (n,).
            state: before them.
            states, length: of the frames, see the class; of n clips.

        Returns:
            Logits, float32 (n, V), and the state after ``words``.
        """
        inputs = self._projected(ops.take(self._embedding(self.compute_dtype), words, axis=0))
        state = self.lstm.step_in(self.compute_dtype)(inputs, state)
        return self._logits(state[0][:, None], states, length)[:, 0], state

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "words": list(self.words),
            "units": self.units,
            "embedding_size": self.embedding_size,
            "attention": self.has_attention,
            "tied": self.is_tied,
        }

    def compute_output_shape(self, words_shape: Any, states_shape: Any, length_shape: Any = None) -> Any:
        """See the class."""
        return (*words_shape, len(self.words))

    def _embedding(self, dtype: Any) -> Any:
        return ops.cast(self.embedding, dtype)

    def _projected(self, inputs: Any) -> Any:
        cell, dtype = self.lstm.cell, self.compute_dtype
        return ops.add(ops.matmul(inputs, ops.cast(cell.kernel, dtype)), ops.cast(cell.bias, dtype))

    def _logits(self, outputs: Any, states: Any, length: Any) -> Any:
        """Logits, float32 (n, L, V), of hidden states, (n, L, units)."""
        states = ops.cast(states, self.compute_dtype)
        if self.query is None or self.key is None:
            looked_at = ops.repeat(self.last(states, length)[:, None], ops.shape(outputs)[1], axis=1)
        else:
            likeness = ops.matmul(self.query(outputs), ops.transpose(self.key(states), (0, 2, 1)))
            likeness = ops.cast(likeness, "float32") / math.sqrt(self.units)
            time = ops.arange(ops.shape(states)[1], dtype="float32")
            is_real = time[None, None, :] < ops.cast(length, "float32")[:, None, None]
            shares = ops.softmax(ops.where(is_real, likeness, -1e9), axis=-1)
            looked_at = ops.matmul(ops.cast(shares, self.compute_dtype), states)
        outputs = self.seen(ops.concatenate([outputs, looked_at], axis=-1))
        logits = self.output_words(outputs)
        if self.is_tied:
            logits = ops.matmul(logits, ops.transpose(self._embedding("float32")))
        return logits
