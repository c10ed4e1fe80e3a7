"""Captions as Keras' example of image captioning writes them: a clip at a time, a word at a time.

The decoder is called on all words so far, padded to the longest caption, and the most probable next word is
appended. The network is that of the captioner without attention, in plain Keras, for clips of one length.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from model.captions import END, PAD, START


def encoder_model(shape: tuple[int, ...], units: int) -> keras.Model:
    """What is kept of a clip, (batch, units), from frames (batch, T, H, W, C), 0 to 255."""
    frames = features = layers.Input(shape)
    for layer in (
        layers.Rescaling(1 / 255, -0.5),
        layers.Conv2D(16, 3, 2, padding="same", activation="relu"),
        layers.Conv2D(32, 3, 2, padding="same", activation="relu"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Flatten(),
        layers.Dense(units, activation="relu"),
    ):
        features = layers.TimeDistributed(layer)(features)
    return keras.Model(frames, layers.LSTM(units)(features) + features[:, -1])


def decoder_model(num_tokens: int, units: int, max_words: int) -> keras.Model:
    """Probabilities of the next token after each, (batch, max_words + 1, num_tokens).

    From tokens, integers (batch, max_words + 1), the first one `START`, and what is kept of the clip.
    """
    tokens, clip = layers.Input((max_words + 1,), dtype="int32"), layers.Input((units,))
    start = [
        layers.Dense(units, activation="tanh", name="hidden")(clip),
        layers.Dense(units, name="carry")(clip),
    ]
    words = layers.Embedding(num_tokens, units, name="embedding")(tokens)
    outputs = layers.LSTM(units, return_sequences=True, name="lstm")(words, initial_state=start)
    seen = layers.Concatenate()([outputs, layers.RepeatVector(max_words + 1)(clip)])
    seen = layers.Dense(units, activation="tanh", name="seen")(seen)
    return keras.Model([tokens, clip], layers.Dense(num_tokens, activation="softmax", name="output")(seen))


def write_caption(encoder: keras.Model, decoder: keras.Model, frames: npt.NDArray[Any]) -> list[int]:
    """The tokens of a clip's caption; the clip is (T, H, W, C). `END` is the last where it comes in time."""
    max_words = decoder.input_shape[0][1] - 1
    clip = encoder(frames[None])
    tokens: list[int] = []
    while len(tokens) < max_words and END not in tokens:
        tokens.append(int(np.argmax(next_token(decoder, clip, tokens))))
    return tokens


def next_token(decoder: keras.Model, clip: Any, tokens: list[int]) -> npt.NDArray[np.float32]:
    """Probabilities of the token after some, (num_tokens,), of what is kept of one clip."""
    length = decoder.input_shape[0][1]
    before = [START, *tokens]
    padded = keras.ops.convert_to_tensor([before + [PAD] * (length - len(before))])
    return np.asarray(decoder([padded, clip])[0, len(tokens)])
