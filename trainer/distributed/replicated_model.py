"""The training step under TensorFlow's distribution strategies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from model.execution import by_xla


class ReplicatedModel(keras.Model):
    """A `keras.Model` whose step on several replicas equals the step of one replica on the whole batch.

    It differs from `keras.Model` in three ways:

    - Gradients are summed over the replicas before they are clipped; Keras clips each replica's first.
    - With several processes, losses and metrics have shape (1,), because `fit` cannot reduce scalars there.
    - Several steps per execution run in a loop in Python. Keras' loop in the graph fails with several
      replicas ("You must feed a value for placeholder tensor", Keras 3.15 on TensorFlow 2.21).
    """

    train_function: Any
    test_function: Any

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that `fit` calls for each execution."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = self._in_python(self.train_function)

    def make_test_function(self, force: bool = False) -> None:
        """Make the function that validation calls for each execution."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._in_python(self.test_function)

    def _in_python(self, execute: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if self.steps_per_execution == 1:
            return execute
        # Keras loops in Python over an iterator that is not TensorFlow's.
        return lambda iterator: execute(iter(iterator.__next__, None))

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on this replica's part of a batch; the parts of all replicas have the same size."""
        features, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        context = tf.distribute.get_replica_context()
        num_replicas = context.num_replicas_in_sync
        variables = self.trainable_variables
        answers, loss, gradients = self._forward_and_back(features, labels, weights)
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if (norm := self.optimizer.global_clipnorm) is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, norm)
        # The optimizer sums over the replicas again, and all now have the same gradients.
        self.optimizer.apply([gradient / num_replicas for gradient in gradients], variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss * num_replicas, sample_weight=tf.shape(labels)[0])
        return _reducible(self.compute_metrics(features, labels, answers, sample_weight=weights))

    @functools.cached_property
    def _forward_and_back(self) -> Callable[..., tuple[Any, Any, list[Any]]]:
        """Function from features, labels and weights of a replica's part to answers, loss and gradients.

        It is the part of a step that XLA can compile: communication between replicas it cannot.
        """

        def compute(features: Any, labels: Any, weights: Any) -> tuple[Any, Any, list[Any]]:
            with tf.GradientTape() as tape:
                answers = self(features, training=True)
                # Keras divides the loss by the number of replicas, so the sum of gradients is the batch's.
                loss = self.compute_loss(x=features, y=labels, y_pred=answers, sample_weight=weights)
                scaled = self.optimizer.scale_loss(loss)
            values = [variable.value for variable in self.trainable_variables]
            return answers, loss, tape.gradient(scaled, values)

        return tf.function(compute, jit_compile=True) if by_xla() else compute

    def test_step(self, data: Any) -> dict[str, Any]:
        """Compute loss and metrics of this replica's part of a batch."""
        return _reducible(super().test_step(data))


def _reducible(logs: dict[str, Any]) -> dict[str, Any]:
    """Logs as `fit` can reduce them: of shape (1,) with several processes."""
    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
    return logs
