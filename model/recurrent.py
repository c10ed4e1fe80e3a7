"""An LSTM that multiplies its inputs for all timesteps at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from model.execution import by_xla

_MOST_UNROLLED = 64


class _Step(keras.layers.Layer):
    """A step in time, as `keras.layers.RNN` takes it."""

    def __init__(self, step: Callable[[Any, Any], tuple[Any, Any]], units: int, dtype: Any) -> None:
        super().__init__(dtype=keras.backend.standardize_dtype(dtype))
        self._step = step
        self.state_size = [units, units]
        self.output_size = units

    def call(self, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
        """The output and the next state."""
        states = self._step(inputs, states)
        return states[0], [*states]


@keras.saving.register_keras_serializable("moving_lines")
class ProjectedLSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with the input kernel applied once, before the loop over time.

    Keras' loop multiplies the inputs of one timestep by the input kernel at every step; here one product
    over (batch * timesteps) does, and the loop keeps only what depends on the previous step. Equations and
    weights are those of `keras.layers.LSTM` (Hochreiter and Schmidhuber, 1997, with forget gate), so either
    takes the other's weights. Where TensorFlow has cuDNN, its LSTM is used as `keras.layers.LSTM` does. With
    ``unroll`` there is no loop, however many timesteps there are.

    Returns the last hidden state, (batch, units), or with ``return_sequences`` that of every timestep,
    (batch, timesteps, units). Dropout, masks, returned states, state kept between batches and going backwards
    are not supported.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if not self.can_stand_for(self):
            raise ValueError("ProjectedLSTM computes hidden states only, with bias and without dropout")

    @staticmethod
    def can_stand_for(lstm: keras.layers.LSTM) -> bool:
        """Whether this layer, made with the options of another, computes what that one does."""
        unsupported = (
            lstm.return_state,
            lstm.go_backwards,
            lstm.stateful,
            lstm.dropout,
            lstm.recurrent_dropout,
            not lstm.use_bias,
        )
        return not any(unsupported)

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
        # Whoever calls this may be a layer of another precision.
        recurrent_kernel = ops.cast(self.cell.recurrent_kernel, projected.dtype)

        def step(projected_input: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
            hidden, carry = state
            gates = ops.add(projected_input, ops.matmul(hidden, recurrent_kernel))
            update, forget, candidate, output = ops.split(gates, 4, axis=-1)
            carry = self.recurrent_activation(forget) * carry + self.recurrent_activation(
                update
            ) * self.activation(candidate)
            hidden = self.recurrent_activation(output) * self.activation(carry)
            return hidden, carry

        if initial_state is None:
            zeros = ops.zeros((ops.shape(projected)[0], self.units), projected.dtype)
            initial_state = (zeros, zeros)
        state = tuple(initial_state)
        if self.unroll or (not by_xla() and self._is_short(timesteps)):
            every = []
            for projected_input in ops.unstack(projected, timesteps, axis=1):
                state = step(projected_input, state)
                every.append(state[0])
            return ops.stack(every, axis=1) if self.return_sequences else state[0]
        # Not `ops.scan`: on TensorFlow it does not tell XLA how many steps there are, which gradients need.
        loop = keras.layers.RNN(_Step(step, self.units, projected.dtype), self.return_sequences)
        return loop(projected, initial_state=state)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, also whether cuDNN may be taken, which Keras leaves out."""
        return {**super().get_config(), "use_cudnn": self.use_cudnn}

    @staticmethod
    def _is_short(timesteps: int | None) -> bool:
        """Whether a graph may hold every timestep: TensorFlow's loops cost as much as the steps in them.

        XLA's do not, but it takes minutes to compile every timestep by itself.
        """
        return timesteps is not None and timesteps <= _MOST_UNROLLED
