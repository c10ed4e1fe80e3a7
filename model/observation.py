"""What of a sequence the classifier gets to see: all of the line or a dot, all frames or some, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from model.execution import on_gpu_kernels
from model.stateless_random import random_bits, word_of

_WINDOW_STREAM, _NOISE_STREAM, _FLIP_STREAM = 0, 1, 2

LINES = ("line", "dot")


@dataclass(frozen=True)
class Observation:
    """How sequences are shown.

    Attributes:
        line: "line" shows at time t all pixels drawn so far, "dot" only the newest.
        window: this many consecutive frames, from a random one on; None shows all.
        noise: the share of pixels that salt and pepper replace, from 0 to 1.
        seed: of window and noise, from 0 to 2**32 - 1.
        flips: the share of pixels, from 0 to 1, that are turned over on top of all that: 0 to 1 and 1 to 0.
        flip_seed: which pixels, from 0 to 2**32 - 1.
    """

    line: str = "line"
    window: int | None = None
    noise: float = 0.0
    seed: int = 0
    flips: float = 0.0
    flip_seed: int = 0

    @property
    def is_random(self) -> bool:
        """Whether it needs to know which example it is."""
        return self.window is not None or self.noise > 0 or self.flips > 0


@keras.saving.register_keras_serializable("moving_lines")
class RandomWindow(keras.layers.Layer):
    """Consecutive frames from a random one on, every possible first frame equally likely.

    Call arguments:
        frames: (batch, T, S, S, 1), T at least the length; whole numbers from 0 to 255.
        number: uint32 (batch,), which example it is; with the seed it decides the first frame.

    Returns:
        (batch, length, S, S, 1).
    """

    def __init__(self, length: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length
        self.seed = seed

    def call(self, frames: Any, number: Any) -> Any:
        """Take the window of every sequence."""
        timesteps, *frame_shape = frames.shape[1:]
        first = first_of_window(self.seed, number, timesteps - self.length + 1)
        if on_gpu_kernels():  # Which neither gather bytes nor compute with indices.
            time = ops.cast(first, "float32") + ops.arange(self.length, dtype="float32")
            chosen = ops.equal(time[..., None], ops.arange(timesteps, dtype="float32"))
            pixels = ops.reshape(ops.cast(frames, "float16"), (-1, timesteps, math.prod(frame_shape)))
            window = ops.matmul(ops.cast(chosen, "float16"), pixels)
            return ops.cast(ops.reshape(window, (-1, self.length, *frame_shape)), frames.dtype)
        sequence = ops.arange(ops.shape(frames)[0], dtype="int32")[:, None]
        chosen = sequence * timesteps + first + ops.arange(self.length, dtype="int32")
        window = ops.take(ops.reshape(frames, (-1, *frame_shape)), ops.reshape(chosen, (-1,)), axis=0)
        return ops.reshape(window, (-1, self.length, *frame_shape))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "length": self.length, "seed": self.seed}


def first_of_window(seed: int, number: Any, choices: int) -> Any:
    """The first frame of every example's window.

    Args:
        seed: of the windows.
        number: uint32 (batch,), which example.
        choices: how many first frames are possible, at most 256.

    Returns:
        int32 (batch, 1), from 0 to choices - 1.
    """
    bits = ops.right_shift(random_bits(seed, _WINDOW_STREAM, number, 1), word_of(16))
    # 16 random bits times the number of choices fit into the word.
    return ops.cast(ops.right_shift(bits * word_of(choices), word_of(16)), "int32")


class _PixelNoise(keras.layers.Layer):
    """Noise that strikes a share of the pixels, as a function of a seed and the example's number."""

    def __init__(self, rate: float, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable("moving_lines")
class SaltAndPepper(_PixelNoise):
    """Replaces a share of the pixels, by 1 and by 0 equally likely.

    Call arguments:
        frames: (batch, T, S, S, 1).
        number: uint32 (batch,), which example it is; with the seed it decides which pixels.
    """

    def call(self, frames: Any, number: Any) -> Any:
        """Replace pixels."""
        shape = frames.shape[1:]
        bits = random_bits(self.seed, _NOISE_STREAM, number, math.prod(shape))
        bits = ops.reshape(bits, (-1, *shape))
        salt, replaced = _threshold(self.rate / 2), _threshold(self.rate)
        kept = ops.cast(ops.greater_equal(bits, replaced), frames.dtype)
        return frames * kept + ops.cast(ops.less(bits, salt), frames.dtype)


@keras.saving.register_keras_serializable("moving_lines")
class FlipPixels(_PixelNoise):
    """Turns over a share of the pixels, each of every frame by itself.

    Call arguments:
        frames: (batch, T, S, S, 1), values 0 and 1.
        number: uint32 (batch,), which example it is; with the seed it decides which pixels.
    """

    def call(self, frames: Any, number: Any) -> Any:
        """Flip pixels."""
        shape = frames.shape[1:]
        bits = random_bits(self.seed, _FLIP_STREAM, number, math.prod(shape))
        flipped = ops.less(ops.reshape(bits, (-1, *shape)), _threshold(self.rate))
        return ops.cast(ops.not_equal(ops.cast(frames, "bool"), flipped), frames.dtype)


def _threshold(share: float) -> Any:
    """The word that a share of all words lie below."""
    return word_of(min(round(share * 2**32), 2**32 - 1))
