"""Draws paths into frames on the device, so that a sequence crosses the bus as S + 1 bytes; lines to dots."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from pipeline.moving_line.lines import RIGHT


@keras.saving.register_keras_serializable("moving_lines")
class DrawLine(keras.layers.Layer):
    """Paths and labels to frames; with "line" the same frames as `pipeline.moving_line.lines.draw_frames`.

    With "dot" a frame shows the newest pixel only.

    Call arguments:
        path: integers (batch, S).
        label: integers (batch,), 0 = left, 1 = right.

    Returns:
        (batch, S, S, S, 1) = (sequence, timestep, row, column, channel) in the layer's compute dtype.
    """

    def __init__(self, line: str = "line", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.line = line

    def call(self, path: Any, label: Any) -> Any:
        """Find out when each pixel is drawn, then compare that with every timestep."""
        size = path.shape[1]
        # Bytes, where they fit: four times as many are compared at once.
        dtype = "uint8" if size < 256 else "int16"
        time = ops.cast(ops.arange(size, dtype="int32"), dtype)
        is_right = ops.equal(ops.cast(label, dtype), ops.cast(RIGHT, dtype))[:, None]
        drawn_at = ops.where(is_right, time, ops.flip(time))
        path = ops.cast(path, dtype)
        row_of = ops.where(is_right, path, ops.flip(path, axis=1))
        never = ops.cast(size, dtype)
        when = ops.where(ops.equal(row_of[:, None, :], time[:, None]), drawn_at[:, None, :], never)
        shows = ops.less_equal if self.line == "line" else ops.equal
        frames = shows(when[:, None, :, :], time[:, None, None])
        return ops.cast(frames, self.compute_dtype)[..., None]

    def compute_output_shape(self, path_shape: Any, label_shape: Any) -> tuple[int | None, ...]:
        """(batch, S, S, S, 1)."""
        size = path_shape[1]
        return (path_shape[0], size, size, size, 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "line": self.line}


@keras.saving.register_keras_serializable("moving_lines")
class NewestPixel(keras.layers.Layer):
    """What each frame adds to the one before it: of lines (batch, T, S, S, 1), their newest pixels."""

    def call(self, frames: Any) -> Any:
        """Subtract from every frame the one before."""
        return ops.concatenate([frames[:, :1], frames[:, 1:] - frames[:, :-1]], axis=1)
