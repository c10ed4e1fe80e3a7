"""A layer over every timestep at once."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("moving_lines")
class FoldTime(keras.layers.TimeDistributed):
    """`keras.layers.TimeDistributed` with time folded into the batch axis.

    Computes what ``TimeDistributed`` computes, in one call of the wrapped layer on (batch * timesteps, ...)
    instead of a loop over timesteps. For layers whose output does not depend on the rest of the batch, which
    excludes batch normalization, and without masks.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Map (batch, timesteps, ...) to (batch, timesteps, ...)."""
        timesteps = ops.shape(inputs)[1]
        folded = ops.reshape(inputs, (-1, *inputs.shape[2:]))
        outputs = self.layer(folded)
        return ops.reshape(outputs, (-1, timesteps, *outputs.shape[1:]))
