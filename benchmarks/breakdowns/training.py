"""Where the time of a training step goes, on batches of 32 paths."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.breakdowns import Breakdown
from benchmarks.data import data_set
from benchmarks.limits import Limits, seconds_a_call
from benchmarks.step_needs import Network, training_operations
from benchmarks.trainers import Ours

_BATCH_SIZE = 32
_FEW_STEPS, _STEPS = 50, 250


def measure(directory: Path, limits: Limits) -> Breakdown:
    """Forward, backward and update of the trainer's model as graphs of their own; then `fit`."""
    ours = Ours(str(data_set(directory, "path", 200_000)), _BATCH_SIZE, "float32", "cpu")
    model = ours.model.sequence_model
    lstm = ours.model.classifier.get_layer("lstm")
    features, labels = ours.batch()
    variables = model.trainable_variables
    projected = tf.random.normal([_BATCH_SIZE, ours.image_size, 4 * lstm.units])

    def loss() -> Any:
        return model.compute_loss(x=features, y=labels, y_pred=model(features, training=True))

    def recurrence() -> Any:
        return tf.reduce_sum(lstm.recur(projected))

    @tf.function  # type: ignore[untyped-decorator]
    def gradients(function: Any, of: tuple[Any, ...]) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(of)
            value = function()
        return tape.gradient(value, of)

    values = tuple(variable.value for variable in variables)
    recurrent = (projected, lstm.cell.recurrent_kernel.value)
    found = gradients(loss, values)
    update = tf.function(lambda: model.optimizer.apply(found, variables))
    forward = seconds_a_call(tf.function(loss))
    recurring = seconds_a_call(tf.function(recurrence))
    both = seconds_a_call(lambda: gradients(loss, values))
    recurring_both = seconds_a_call(lambda: gradients(recurrence, recurrent))
    parts = {
        "forward: what the pixels change, times the input kernel": forward - recurring,
        "forward: the LSTM's steps": recurring,
        "backward: what the pixels change": both - recurring_both - (forward - recurring),
        "backward: the LSTM's steps": recurring_both - recurring,
        "optimizer": seconds_a_call(update),
    }
    ours.train(_FEW_STEPS)
    # The difference of two lengths: what is done once at a training's start is not in it.
    few, many = (seconds_a_call(partial(ours.train, steps), 3.0) for steps in (_FEW_STEPS, _STEPS))
    whole = (many - few) / (_STEPS - _FEW_STEPS)
    needed = training_operations(Network.of(ours.model.classifier), draws_frames=False)
    return Breakdown(
        f"training, batches of {_BATCH_SIZE} paths",
        {name: 1e9 * taken / _BATCH_SIZE for name, taken in parts.items()},
        1e9 * whole / _BATCH_SIZE,
        1e9 * needed / limits.matrix_product,
        f"{needed / 1e6:.1f} million operations in matrix products, forward and twice backward",
    )
