"""An LSTM that applies its input kernel to all timesteps in one matrix product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from model.execution import by_xla

_MAX_UNROLLED_STEPS = 64


class _Step(keras.layers.Layer):
    """A step in time, as a cell of `keras.layers.RNN`."""

    def __init__(self, step: Callable[[Any, Any], tuple[Any, Any]], units: int, dtype: Any) -> None:
        super().__init__(dtype=keras.backend.standardize_dtype(dtype))
        self._step = step
        self.state_size = [units, units]
        self.output_size = units

    def call(self, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
        """Return the output and the next state."""
        states = self._step(inputs, states)
        return states[0], [*states]


@keras.saving.register_keras_serializable("moving_lines")
class ProjectedLSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` with the input kernel applied once, before the loop over time.

    Keras multiplies the inputs by the input kernel in each step of its loop. This layer does so in one
    product over (batch * timesteps), so that the loop computes only what depends on the previous step.
    Equations and weights are those of `keras.layers.LSTM` (Hochreiter and Schmidhuber, 1997, with forget
    gate), so weights can be exchanged. cuDNN's LSTM is used where `keras.layers.LSTM` uses it. With
    ``unroll`` all timesteps are unrolled, whatever their number.

    Returns the last hidden state, (batch, units); with ``return_sequences`` those of all timesteps, (batch,
    timesteps, units). Not supported: dropout, masks, returned states, ``stateful``, ``go_backwards``, and no
    bias.

    Raises:
        ValueError: for an option that is not supported.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        if not self.can_stand_for(self):
            raise ValueError("ProjectedLSTM computes hidden states only, with bias and without dropout")

    @staticmethod
    def can_stand_for(lstm: keras.layers.LSTM) -> bool:
        """Whether this layer supports the options of another LSTM."""
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
        """Map (batch, timesteps, features) to hidden states; see the class.

        Raises:
            ValueError: if there is a mask.
        """
        if mask is not None:
            raise ValueError("ProjectedLSTM takes no mask")
        if not self.supports_jit:  # Keras has chosen cuDNN's kernel.
            return super().call(sequences, initial_state=initial_state, training=training)
        timesteps, features = ops.shape(sequences)[1:]
        folded = ops.reshape(sequences, (-1, features))
        projected = ops.add(ops.matmul(folded, self.cell.kernel), self.cell.bias)
        return self.recur(ops.reshape(projected, (-1, timesteps, 4 * self.units)), initial_state)

    def recur(self, projected: Any, initial_state: Any = None) -> Any:
        """Compute the recurrence.

        Args:
            projected: (batch, timesteps, 4 * units), the inputs times the input kernel, plus bias.
            initial_state: hidden state and carry, (batch, units) each; None starts with zeros.

        Returns:
            Hidden states, as `call`.
        """
        timesteps = projected.shape[1]
        step = self.step_in(projected.dtype)
        if initial_state is None:
            zeros = ops.zeros((ops.shape(projected)[0], self.units), projected.dtype)
            initial_state = (zeros, zeros)
        state = tuple(initial_state)
        if self.unroll or (not by_xla() and self._is_short(timesteps)):
            hidden_states = []
            for projected_input in ops.unstack(projected, timesteps, axis=1):
                state = step(projected_input, state)
                hidden_states.append(state[0])
            return ops.stack(hidden_states, axis=1) if self.return_sequences else state[0]
        # Not `ops.scan`: on TensorFlow it hides the number of steps from XLA, which gradients need.
        loop = keras.layers.RNN(_Step(step, self.units, projected.dtype), self.return_sequences)
        return loop(projected, initial_state=state)

    def step_in(self, dtype: Any) -> Callable[[Any, tuple[Any, Any]], tuple[Any, Any]]:
        """A step of the recurrence.

        Args:
            dtype: that it computes in; a calling layer may have another precision.

        Returns:
            Function from the projected input of a timestep, (batch, 4 * units), and the state before, hidden
            state and carry, (batch, units) each, to the state after it.
        """
        recurrent_kernel = ops.cast(self.cell.recurrent_kernel, dtype)

        def step(projected_input: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
            hidden, carry = state
            gates = ops.add(projected_input, ops.matmul(hidden, recurrent_kernel))
            update, forget, candidate, output = ops.split(gates, 4, axis=-1)
            carry = self.recurrent_activation(forget) * carry + self.recurrent_activation(
                update
            ) * self.activation(candidate)
            hidden = self.recurrent_activation(output) * self.activation(carry)
            return hidden, carry

        return step

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, with ``use_cudnn``, which Keras leaves out."""
        return {**super().get_config(), "use_cudnn": self.use_cudnn}

    @staticmethod
    def _is_short(timesteps: int | None) -> bool:
        """Whether to unroll the timesteps: an iteration of ``while_loop`` costs as much as an LSTM step.

        Not for XLA: its iterations are cheap, and it takes minutes to compile unrolled steps.
        """
        return timesteps is not None and timesteps <= _MAX_UNROLLED_STEPS
