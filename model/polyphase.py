"""Convolution and pooling of frames, written so that a processor's matrix product does most of the work.

A maximum over windows of 2 x 2 looks at the convolution's outputs in four **phases**: those at even or odd
rows, and even or odd columns. Computed phase by phase, the outputs of a window lie in four large arrays, so
pooling is a maximum of arrays, and its gradient needs no search within windows. (Splitting a filter by the
phases of the decimation that follows it is known as polyphase decomposition.)

`PolyphaseConv2D`, `PolyphaseMaxPool2D` and `PolyphaseFlatten` in a row compute what ``Conv2D(filters, 2,
activation="relu")``, ``MaxPooling2D(2)`` and ``Flatten()`` compute over every frame, with the same weights.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.execution import on_cpu_kernels

_SIZE = 2  # Of kernels and pooling windows.
_PATCH = 2 * _SIZE - 1  # Pixels along an edge that a pooling window's outputs look at.


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseConv2D(keras.layers.Layer):
    """`keras.layers.Conv2D` with kernels of 2 x 2, before pooling by 2 x 2; linear, with bias.

    Call arguments:
        frames: (batch, timesteps, S, S, 1), S at least 3.

    Returns:
        (4, filters, batch, timesteps, P, P), P = (S - 1) // 2: the phase, (0, 0), (0, 1), (1, 0) or (1, 1),
        the filter, and the output at that phase of every pooling window.
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
        """Convolve every phase."""
        patches = self._patches(frames)
        return self._convolve_at_once(patches) if on_cpu_kernels() else self._convolve_by_weight(patches)

    def _patches(self, frames: Any) -> list[Any]:
        """The 3 x 3 pixels that a window looks at, row by row: arrays (batch, timesteps, P, P)."""
        windows = (frames.shape[2] - 1) // _SIZE
        half = windows + 1
        batch, timesteps = ops.shape(frames)[:2]
        frames = frames[..., : 2 * half, : 2 * half, 0]
        missing = 2 * half - frames.shape[2]  # Of an odd size: never looked at.
        frames = ops.pad(frames, ((0, 0), (0, 0), (0, missing), (0, missing))) if missing else frames
        phases = ops.transpose(
            ops.reshape(frames, (batch, timesteps, half, _SIZE, half, _SIZE)), (3, 5, 0, 1, 2, 4)
        )
        return [
            phases[
                row % 2, column % 2, :, :, row // 2 : row // 2 + windows, column // 2 : column // 2 + windows
            ]
            for row in range(_PATCH)
            for column in range(_PATCH)
        ]

    def _convolve_at_once(self, patches: list[Any]) -> Any:
        """As one matrix product, the bias among the weights."""
        shape = ops.shape(patches[0])
        pixels = ops.reshape(ops.stack([*patches, ops.ones_like(patches[0])]), (_PATCH**2 + 1, -1))
        kernel = self.kernel[:, :, 0, :]
        shifted = [
            ops.pad(kernel, ((row, _SIZE - 1 - row), (column, _SIZE - 1 - column), (0, 0)))
            for row, column in _phases()
        ]
        weights = ops.reshape(ops.stack(shifted, axis=2), (_PATCH**2, -1))
        biases = ops.tile(self.bias, (len(shifted),))[None]
        outputs = ops.matmul(ops.transpose(ops.concatenate([weights, biases])), pixels)
        return ops.reshape(outputs, (len(shifted), self.filters, *shape))

    def _convolve_by_weight(self, patches: list[Any]) -> Any:
        """As a sum over the kernel's weights."""
        patches = [ops.cast(patch, self.compute_dtype) for patch in patches]
        kernel, bias = (ops.cast(weight, self.compute_dtype) for weight in (self.kernel, self.bias))
        kernel = ops.reshape(kernel, (_SIZE, _SIZE, self.filters, 1, 1, 1, 1))
        bias = ops.reshape(bias, (self.filters, 1, 1, 1, 1))
        return ops.stack(
            [
                sum(
                    kernel[i, j] * patches[(row + i) * _PATCH + column + j]
                    for i in range(_SIZE)
                    for j in range(_SIZE)
                )
                + bias
                for row, column in _phases()
            ]
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseMaxPool2D(keras.layers.Layer):
    """The largest output of every window, then ReLU; as ReLU is monotonic, their order does not matter.

    Maps (4, filters, batch, timesteps, P, P) of `PolyphaseConv2D` to (filters, batch, timesteps, P, P).
    """

    def call(self, outputs: Any) -> Any:
        """Take the maximum over the phases."""
        if on_cpu_kernels():  # The phases as the rows of an image, all the rest as its channels.
            rows = ops.reshape(outputs, (1, outputs.shape[0], 1, -1))
            largest = ops.max_pool(rows, (outputs.shape[0], 1), data_format="channels_last")
            return ops.relu(ops.reshape(largest, ops.shape(outputs)[1:]))
        first, second, third, fourth = ops.unstack(outputs, 4)
        return ops.relu(ops.maximum(ops.maximum(first, second), ops.maximum(third, fourth)))


@keras.saving.register_keras_serializable("moving_lines")
class PolyphaseFlatten(keras.layers.Layer):
    """(filters, batch, timesteps, P, P) to (batch, timesteps, P * P * filters), ordered as by ``Flatten``."""

    def call(self, pooled: Any) -> Any:
        """Bring the filters to the end."""
        filters, batch, timesteps = ops.shape(pooled)[:3]
        windows = pooled.shape[-1]
        last = ops.transpose(
            ops.reshape(pooled, (filters, batch, timesteps, windows * windows)), (1, 2, 3, 0)
        )
        return ops.reshape(last, (batch, timesteps, windows * windows * pooled.shape[0]))


def _phases() -> list[tuple[int, int]]:
    return [(row, column) for row in range(_SIZE) for column in range(_SIZE)]
