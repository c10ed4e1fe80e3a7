"""The training step under TensorFlow's distribution strategies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from model.execution import by_xla


class ReplicatedModel(keras.Model):
    """`keras.Model` whose steps on several replicas compute what one replica computes on the whole batch.

    Keras clips the gradients of every replica before it adds them up; here they are added first. And `fit`
    cannot reduce scalars that come from several processes, so losses and metrics have shape (1,) there.

    Keras' loop in the graph, for several steps an execution, fails with several replicas ("You must feed a
    value for placeholder tensor", Keras 3.15 on TensorFlow 2.21). Its loop in Python, which it takes for
    iterators that are not TensorFlow's, does not.
    """

    train_function: Any
    test_function: Any

    def make_train_function(self, force: bool = False) -> None:
        """Make what `fit` calls for an execution."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = self._in_python(self.train_function)

    def make_test_function(self, force: bool = False) -> None:
        """Make what validation calls for an execution."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._in_python(self.test_function)

    def _in_python(self, execute: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if self.steps_per_execution == 1:
            return execute
        return lambda iterator: execute(iter(iterator.__next__, None))

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step on this replica's part of a batch, all parts of the same size."""
        features, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        context = tf.distribute.get_replica_context()
        num_replicas = context.num_replicas_in_sync
        variables = self.trainable_variables
        answers, loss, gradients = self._forward_and_back(features, labels, weights)
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if (norm := self.optimizer.global_clipnorm) is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, norm)
        # The optimizer adds up once more what is now the same everywhere.
        self.optimizer.apply([gradient / num_replicas for gradient in gradients], variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss * num_replicas, sample_weight=tf.shape(labels)[0])
        return _reducible(self.compute_metrics(features, labels, answers, sample_weight=weights))

    @functools.cached_property
    def _forward_and_back(self) -> Callable[..., tuple[Any, Any, list[Any]]]:
        """From a replica's part of a batch to answers, loss and gradients.

        XLA may compile this much of a step, but not what replicas tell each other.
        """

        def compute(features: Any, labels: Any, weights: Any) -> tuple[Any, Any, list[Any]]:
            with tf.GradientTape() as tape:
                answers = self(features, training=True)
                # Keras divides the loss by the number of replicas, so that gradients are to be added.
                loss = self.compute_loss(x=features, y=labels, y_pred=answers, sample_weight=weights)
                scaled = self.optimizer.scale_loss(loss)
            values = [variable.value for variable in self.trainable_variables]
            return answers, loss, tape.gradient(scaled, values)

        return tf.function(compute, jit_compile=True) if by_xla() else compute

    def test_step(self, data: Any) -> dict[str, Any]:
        """Loss and metrics of this replica's part of a batch."""
        return _reducible(super().test_step(data))


def _reducible(logs: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
    return logs
