"""What a classifier makes of features over time, where clips may be shorter than the batch's timesteps.

Shorter clips are padded at their end. Nothing that comes later changes the state at a frame, so no mask is
needed: the answer is taken at the last real frame.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

TEMPORAL = ("lstm", "mean")


class _OverTime(keras.layers.Layer):
    """Chooses what is answered.

    Args:
        every_frame: give what would be answered after every frame, (batch, timesteps, F), instead of after
            the last real one, (batch, F).
    """

    def __init__(self, every_frame: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.every_frame = every_frame

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "every_frame": self.every_frame}

    def _at_last(self, states: Any, length: Any) -> Any:
        """(batch, timesteps, F) at the last real frame; a product with zeros and ones is exact.

        In float32, for TensorFlow computes with int32 on the host only.
        """
        time = ops.arange(ops.shape(states)[1], dtype="float32")
        is_last = ops.cast(ops.equal(time[None, :], ops.cast(length, "float32")[:, None] - 1), states.dtype)
        return ops.sum(states * is_last[..., None], axis=1)


@keras.saving.register_keras_serializable("moving_lines")
class LastState(_OverTime):
    """The state at the last real frame.

    Call arguments:
        states: (batch, timesteps, F).
        length: integers (batch,), numbers of real frames, at least 1.
    """

    def call(self, states: Any, length: Any) -> Any:
        """Take the states."""
        return states if self.every_frame else self._at_last(states, length)


@keras.saving.register_keras_serializable("moving_lines")
class MeanOverTime(_OverTime):
    """The mean of the real frames' features, which does not depend on their order: a baseline.

    Call arguments:
        features: (batch, timesteps, F).
        length: integers (batch,), numbers of real frames, at least 1.
    """

    def call(self, features: Any, length: Any) -> Any:
        """Average over the frames so far."""
        count = ops.cast(ops.arange(1, ops.shape(features)[1] + 1, dtype="int32"), features.dtype)
        means = ops.cumsum(features, axis=1) / count[None, :, None]
        return means if self.every_frame else self._at_last(means, length)
