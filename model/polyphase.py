"""Convolution and pooling of frames, written so that a processor's matrix product does most of the work.

A maximum over windows of 2 x 2 looks at the convolution's outputs in four **phases**: those at even or odd
rows, and even or odd columns. Computed phase by phase, the outputs of a window lie in four large arrays, so
pooling is a maximum of arrays, and its gradient needs no search within windows. (Splitting a filter by the
phases of the decimation that follows it is known as polyphase decomposition.)

`PolyphaseConv2D`, `PolyphaseMaxPool2D` and `PolyphaseFlatten` in a row compute what ``Conv2D(filters, 2,
activation="relu")``, ``MaxPooling2D(2)`` and ``Flatten()`` compute over every frame, with the same weights.
As the maximum is taken where the phases are computed, they never leave the first of them.

Where a CPU runs operations one by one, what costs is memory: the pixels that windows look at and the phases
are a dozen times as large as what goes in and comes out. So these are computed for a few frames at a time,
which caches hold and several cores share in; the pixels of all these frames lie side by side, so that every
shift of a window is a copy of long rows; and pixels stay bytes, if they came as such, until the product.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.execution import on_cpu_kernels, on_gpu_kernels

_SIZE = 2  # Of kernels and pooling windows.
_PATCH = 2 * _SIZE - 1  # Pixels along an edge that a pooling window's outputs look at.
_CHUNK = 200  # Frames at a time at least: their arrays are about as large as a core's cache.
_MOST_CHUNKS = 16  # Every one adds some dozen operations to the graph.


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseConv2D(keras.layers.Layer):
    """`keras.layers.Conv2D` with kernels of 2 x 2, linear, with bias, and the maximum over windows of 2 x 2.

    Call arguments:
        frames: (batch, timesteps, S, S, 1), S at least 3, of any dtype.

    Returns:
        (batch, timesteps, P, P, filters), P = (S - 1) // 2: the largest output of every window.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, frames_shape: Any) -> None:
        """Make kernel (2, 2, 1, filters) and bias (filters,), initialized as those of ``Conv2D``."""
        self.kernel = self.add_weight(
            (_SIZE, _SIZE, 1, self.filters), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")

    def call(self, frames: Any) -> Any:
        """Convolve every phase, and take the maximum over the phases."""
        size = frames.shape[2]
        windows = (size - 1) // _SIZE
        batch, timesteps = ops.shape(frames)[:2]
        # Slices and reshapes of a variable are as it is stored, and TensorFlow multiplies one type only.
        kernel, bias = (ops.cast(weight, self.compute_dtype) for weight in (self.kernel, self.bias))
        if on_gpu_kernels():
            images = ops.cast(ops.reshape(frames, (-1, size, size, 1)), self.compute_dtype)
            largest = ops.max_pool(ops.conv(images, kernel, data_format="channels_last"), _SIZE) + bias
            return ops.reshape(largest, (batch, timesteps, windows, windows, self.filters))
        convolve = self._in_chunks if on_cpu_kernels() else self._convolve_by_weight
        largest = convolve(ops.reshape(frames, (-1, size, size)), kernel, bias)
        return ops.reshape(largest, (batch, timesteps, windows, windows, self.filters))

    def _in_chunks(self, frames: Any, kernel: Any, bias: Any) -> Any:
        """From frames (n, S, S) to (n, P * P, filters), some frames at a time."""
        shifted = [
            ops.pad(kernel[:, :, 0, :], ((row, _SIZE - 1 - row), (column, _SIZE - 1 - column), (0, 0)))
            for row, column in _phases()
        ]
        weights = ops.transpose(ops.reshape(ops.stack(shifted, axis=2), (_PATCH**2, -1)))
        count = frames.shape[0]
        if count is None:
            return self._convolve_at_once(frames, weights, bias)
        chunk = max(_CHUNK, -(-count // _MOST_CHUNKS))
        chunks = [
            self._convolve_at_once(frames[first : first + chunk], weights, bias)
            for first in range(0, count, chunk)
        ]
        return ops.concatenate(chunks) if len(chunks) > 1 else chunks[0]

    def _convolve_at_once(self, frames: Any, weights: Any, bias: Any) -> Any:
        """As one matrix product, with weights (4 * filters, 9); the maximum as that over an image's rows."""
        size = frames.shape[1]
        firsts = range(0, size - _PATCH + 1, _SIZE)
        # Where the pixels at each place of a patch lie, window by window.
        places = [
            (first_row + row) * size + first_column + column
            for row in range(_PATCH)
            for column in range(_PATCH)
            for first_row in firsts
            for first_column in firsts
        ]
        pixels = ops.transpose(ops.reshape(frames, (-1, size * size)))
        patches = ops.cast(ops.take(pixels, places, axis=0), self.compute_dtype)
        outputs = ops.matmul(weights, ops.reshape(patches, (_PATCH**2, -1)))
        # The phases are the rows of an image, all the rest its channels.
        rows = ops.reshape(outputs, (1, _SIZE**2, 1, -1))
        largest = ops.max_pool(rows, (_SIZE**2, 1), data_format="channels_last")
        largest = ops.reshape(largest, (self.filters, -1)) + bias[:, None]
        return ops.transpose(ops.reshape(largest, (self.filters, len(firsts) ** 2, -1)), (2, 1, 0))

    def _convolve_by_weight(self, frames: Any, kernel: Any, bias: Any) -> Any:
        """As a sum over the kernel's weights; from frames (n, S, S) to (n, P, P, filters)."""
        size = frames.shape[1]
        windows = (size - 1) // _SIZE
        half = windows + 1
        frames = ops.cast(frames, self.compute_dtype)
        if missing := _SIZE * half - size:  # Of an odd size: never looked at.
            frames = ops.pad(frames, ((0, 0), (0, missing), (0, missing)))
        phases = ops.transpose(ops.reshape(frames, (-1, half, _SIZE, half, _SIZE)), (2, 4, 0, 1, 3))
        patches = [
            phases[row % 2, column % 2, :, row // 2 : row // 2 + windows, column // 2 : column // 2 + windows]
            for row in range(_PATCH)
            for column in range(_PATCH)
        ]
        kernel = ops.reshape(kernel, (_SIZE, _SIZE, self.filters, 1, 1, 1))
        first, second, third, fourth = (
            sum(
                kernel[i, j] * patches[(row + i) * _PATCH + column + j]
                for i in range(_SIZE)
                for j in range(_SIZE)
            )
            for row, column in _phases()
        )
        largest = ops.maximum(ops.maximum(first, second), ops.maximum(third, fourth))
        return ops.transpose(largest, (1, 2, 3, 0)) + bias

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseMaxPool2D(keras.layers.Layer):
    """ReLU of every window's largest output; as ReLU is monotonic, their order does not matter."""

    def call(self, largest: Any) -> Any:
        """Of any shape."""
        return ops.relu(largest)


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseFlatten(keras.layers.Layer):
    """(batch, timesteps, P, P, filters) to (batch, timesteps, P * P * filters), ordered as by ``Flatten``."""

    def call(self, pooled: Any) -> Any:
        """Join the last axes."""
        batch, timesteps, windows, _, filters = ops.shape(pooled)
        return ops.reshape(pooled, (batch, timesteps, windows * windows * filters))


def layer_of_frames(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """A layer of Keras' own to put in place of one of these; None for any other layer.

    The first of the three becomes what all of them do, in `keras.layers.TimeDistributed` and with the weights
    of the first; nothing is left for the others.
    """
    if isinstance(layer, PolyphaseConv2D):
        of_one_frame = [
            keras.layers.Conv2D(layer.filters, _SIZE, activation="relu"),
            keras.layers.MaxPooling2D(_SIZE),
            keras.layers.Flatten(),
        ]
        return keras.layers.TimeDistributed(keras.Sequential(of_one_frame), name=layer.name)
    if isinstance(layer, PolyphaseMaxPool2D | PolyphaseFlatten):
        return keras.layers.Identity(name=layer.name)
    return None


def _phases() -> list[tuple[int, int]]:
    return [(row, column) for row in range(_SIZE) for column in range(_SIZE)]
