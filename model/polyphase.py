"""Convolution and pooling of frames by polyphase decomposition, as large matrix products.

Max pooling over 2 x 2 windows takes the maximum of four **phases** of the convolution's outputs: those at
even or odd rows and even or odd columns. If each phase is computed as one array, pooling is an elementwise
maximum of four arrays, and its gradient needs no search within windows. (To split a filter by the phases of
the decimation after it is known as polyphase decomposition.)

`PolyphaseConv2D`, `PolyphaseMaxPool2D` and `PolyphaseFlatten` in sequence compute the same as
``Conv2D(filters, 2, activation="relu")``, ``MaxPooling2D(2)`` and ``Flatten()`` on each frame, with the same
weights. `PolyphaseConv2D` takes the maximum itself, so that the phases are not passed between layers.

On CPU kernels the cost is memory traffic: patches and phases are a dozen times as large as input and output.
So frames are processed in chunks that fit into the caches and are spread over cores. The frames of a chunk
are the last axis, so that each shift of a window copies long rows. Pixels of an integer dtype stay so until
the product.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.execution import on_cpu_kernels, on_gpu_kernels

_SIZE = 2  # Edge of kernels and pooling windows.
_PATCH = 2 * _SIZE - 1  # Edge of the patch of pixels that a pooling window depends on.
_CHUNK = 200  # Fewest frames in a chunk: their arrays are about as large as a core's cache.
_MAX_CHUNKS = 16  # Each chunk adds some dozen operations to the graph.


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseConv2D(keras.layers.Layer):
    """A linear 2 x 2 `keras.layers.Conv2D` with bias, then the maximum over 2 x 2 windows, for each frame.

    Args:
        filters: number of output channels.

    Call arguments:
        frames: (batch, timesteps, S, S, 1), S at least 3, of any dtype.

    Returns:
        (batch, timesteps, P, P, filters), P = (S - 1) // 2, in the layer's compute dtype.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, frames_shape: Any) -> None:
        """Make the weights of ``Conv2D``: kernel (2, 2, 1, filters) and bias (filters,)."""
        self.kernel = self.add_weight(
            (_SIZE, _SIZE, 1, self.filters), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")

    def call(self, frames: Any) -> Any:
        """Compute the maximum over the phases of the convolution."""
        size = frames.shape[2]
        windows = (size - 1) // _SIZE
        batch, timesteps = ops.shape(frames)[:2]
        # Slices of a variable keep its dtype, and TensorFlow does not multiply mixed dtypes.
        kernel, bias = (ops.cast(weight, self.compute_dtype) for weight in (self.kernel, self.bias))
        if on_gpu_kernels():
            images = ops.cast(ops.reshape(frames, (-1, size, size, 1)), self.compute_dtype)
            largest = ops.max_pool(ops.conv(images, kernel, data_format="channels_last"), _SIZE) + bias
            return ops.reshape(largest, (batch, timesteps, windows, windows, self.filters))
        convolve = self._in_chunks if on_cpu_kernels() else self._convolve_by_weight
        largest = convolve(ops.reshape(frames, (-1, size, size)), kernel, bias)
        return ops.reshape(largest, (batch, timesteps, windows, windows, self.filters))

    def _in_chunks(self, frames: Any, kernel: Any, bias: Any) -> Any:
        """Map frames (n, S, S) to (n, P * P, filters), in chunks of frames."""
        shifted = [
            ops.pad(kernel[:, :, 0, :], ((row, _SIZE - 1 - row), (column, _SIZE - 1 - column), (0, 0)))
            for row, column in _phases()
        ]
        weights = ops.transpose(ops.reshape(ops.stack(shifted, axis=2), (_PATCH**2, -1)))
        count = frames.shape[0]
        if count is None:
            return self._convolve_at_once(frames, weights, bias)
        chunk = max(_CHUNK, -(-count // _MAX_CHUNKS))
        chunks = [
            self._convolve_at_once(frames[first : first + chunk], weights, bias)
            for first in range(0, count, chunk)
        ]
        return ops.concatenate(chunks) if len(chunks) > 1 else chunks[0]

    def _convolve_at_once(self, frames: Any, weights: Any, bias: Any) -> Any:
        """Map frames (n, S, S) to (n, P * P, filters) by one matrix product.

        Args:
            frames: (n, S, S).
            weights: (4 * filters, 9): the kernel of each phase, placed in a patch.
            bias: (filters,).
        """
        size = frames.shape[1]
        firsts = range(0, size - _PATCH + 1, _SIZE)
        # Indices of pixels in a frame, by place in the patch, then by window.
        indices = [
            (first_row + row) * size + first_column + column
            for row in range(_PATCH)
            for column in range(_PATCH)
            for first_row in firsts
            for first_column in firsts
        ]
        pixels = ops.transpose(ops.reshape(frames, (-1, size * size)))
        patches = ops.cast(ops.take(pixels, indices, axis=0), self.compute_dtype)
        outputs = ops.matmul(weights, ops.reshape(patches, (_PATCH**2, -1)))
        # One max pooling with the phases as rows of an image and the rest as its channels.
        rows = ops.reshape(outputs, (1, _SIZE**2, 1, -1))
        largest = ops.max_pool(rows, (_SIZE**2, 1), data_format="channels_last")
        largest = ops.reshape(largest, (self.filters, -1)) + bias[:, None]
        return ops.transpose(ops.reshape(largest, (self.filters, len(firsts) ** 2, -1)), (2, 1, 0))

    def _convolve_by_weight(self, frames: Any, kernel: Any, bias: Any) -> Any:
        """Map frames (n, S, S) to (n, P, P, filters) by a sum over the kernel's weights."""
        size = frames.shape[1]
        windows = (size - 1) // _SIZE
        half = windows + 1
        frames = ops.cast(frames, self.compute_dtype)
        if missing := _SIZE * half - size:  # Odd size: padding that no window uses.
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
        """Return the constructor's arguments."""
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseMaxPool2D(keras.layers.Layer):
    """ReLU of each window's maximum, which equals the maximum after ReLU, because ReLU is monotonic."""

    def call(self, largest: Any) -> Any:
        """Map an array of any shape to one of the same shape."""
        return ops.relu(largest)


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseFlatten(keras.layers.Layer):
    """Maps (batch, timesteps, P, P, filters) to (batch, timesteps, P * P * filters), in `Flatten`'s order."""

    def call(self, pooled: Any) -> Any:
        """Flatten the last three axes."""
        batch, timesteps, windows, _, filters = ops.shape(pooled)
        return ops.reshape(pooled, (batch, timesteps, windows * windows * filters))


def layer_of_frames(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Keras' own replacement of one of the layers of this module, for converters; None for any other layer.

    `PolyphaseConv2D` is replaced by convolution, pooling and flattening in `keras.layers.TimeDistributed`,
    with the same weights; the other two are replaced by identities.
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
