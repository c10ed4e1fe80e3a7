"""An LSTM that multiplies its inputs for all timesteps at once."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_MOST_UNROLLED = 64


@keras.saving.register_keras_serializable("moving_lines")
class ProjectedLSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with the input kernel applied once, before the loop over time.

    Keras' loop multiplies the inputs of one timestep by the input kernel at every step; here one product
    over (batch * timesteps) does, and the loop keeps only what depends on the previous step. Equations and
    weights are those of `keras.layers.LSTM` (Hochreiter and Schmidhuber, 1997, with forget gate), so either
    takes the other's weights. Where TensorFlow has cuDNN, its LSTM is used as `keras.layers.LSTM` does.

    Returns the last hidden state, (batch, units), or with ``return_sequences`` that of every timestep,
    (batch, timesteps, units). Dropout, masks, returned states, state kept between batches and going backwards
    are not supported.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        unsupported = (
            self.return_state,
            self.go_backwards,
            self.stateful,
            self.dropout,
            self.recurrent_dropout,
            not self.use_bias,
        )
        if any(unsupported):
            raise ValueError("ProjectedLSTM computes hidden states only, with bias and without dropout")

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """Map (batch, timesteps, features) to hidden states."""
        if mask is not None:
            raise ValueError("ProjectedLSTM takes no mask")
        if not self.supports_jit:  # Keras' sign that TensorFlow's cuDNN kernel was chosen.
            return super().call(sequences, initial_state=initial_state, training=training)
        timesteps, features = ops.shape(sequences)[1:]
        folded = ops.reshape(sequences, (-1, features))
        projected = ops.add(ops.matmul(folded, self.cell.kernel), self.cell.bias)
        return self.recur(ops.reshape(projected, (-1, timesteps, 4 * self.units)), initial_state)

    def recur(self, projected: Any, initial_state: Any = None) -> Any:
        """Go through time.

        Args:
            projected: (batch, timesteps, 4 * units), the inputs times the input kernel, with bias.
            initial_state: hidden state and carry, (batch, units) each; None begins with zeros.

        Returns:
            What a call returns.
        """
        timesteps = projected.shape[1]
        recurrent_kernel = self.cell.recurrent_kernel

        def step(state: tuple[Any, Any], projected_input: Any) -> tuple[tuple[Any, Any], Any]:
            hidden, carry = state
            gates = ops.add(projected_input, ops.matmul(hidden, recurrent_kernel))
            update, forget, candidate, output = ops.split(gates, 4, axis=-1)
            carry = self.recurrent_activation(forget) * carry + self.recurrent_activation(
                update
            ) * self.activation(candidate)
            hidden = self.recurrent_activation(output) * self.activation(carry)
            state = hidden, carry
            # Keras' scan on TensorFlow takes results of the state's own structure only.
            return state, state if self.return_sequences else None

        if initial_state is None:
            zeros = ops.zeros((ops.shape(projected)[0], self.units), projected.dtype)
            initial_state = (zeros, zeros)
        state = tuple(initial_state)
        if keras.backend.backend() == "tensorflow" and self._is_short(timesteps):
            every = []
            for projected_input in ops.unstack(projected, timesteps, axis=1):
                state, _ = step(state, projected_input)
                every.append(state[0])
            return ops.stack(every, axis=1) if self.return_sequences else state[0]
        state, every = ops.scan(step, state, ops.transpose(projected, (1, 0, 2)))
        return ops.transpose(every[0], (1, 0, 2)) if self.return_sequences else state[0]

    @staticmethod
    def _is_short(timesteps: int | None) -> bool:
        """Whether a graph may hold every timestep; TensorFlow's loops cost as much as the steps in them."""
        return timesteps is not None and timesteps <= _MOST_UNROLLED
