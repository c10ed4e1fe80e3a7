"""Builds and compiles the model that `fit` trains: the classifier with stored sequences as its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from model import DrawLine, LineClassifier, build_classifier, logits_of, sequence_answers
from model.execution import by_xla
from trainer.distributed.strategy import Distribution
from trainer.input.split_files import SplitFiles
from trainer.moving_line.records import image_size_of
from trainer.training.checkpoints import compile_classifier, restore_checkpoint
from trainer.training.optimizer import make_optimizer
from trainer.training.plan import Plan


@dataclass(frozen=True)
class TrainingModel:
    """Two models with the same weights and the same optimizer.

    Attributes:
        sequence_model: maps stored sequences to logits; trained by `fit`.
        classifier: maps frames to probabilities; saved in checkpoints.
        totals: variables with the running sums of loss and metrics in the current epoch.
    """

    sequence_model: keras.Model
    classifier: keras.Model
    totals: list[Any]

    @property
    def description(self) -> str:
        """The model's input and its compiler, for users."""
        kinds = set(map(type, self.sequence_model.layers))
        seen = "paths" if LineClassifier in kinds else "drawn frames" if DrawLine in kinds else "frames"
        return f"looks at {seen}, {'compiled by XLA' if by_xla() else 'one operation after the other'}"


def build_training_model(
    plan: Plan, files: SplitFiles, distribution: Distribution, checkpoint: str | None
) -> TrainingModel:
    """Build and compile the model of a run.

    Args:
        plan: the plan of the run.
        files: the training split.
        distribution: the devices to train on.
        checkpoint: path of a checkpoint with weights and optimizer; None draws weights from the seed.
    """
    settings, image_size = plan.settings, image_size_of(files.spec)
    keras.utils.set_random_seed(settings.seed)
    with distribution.scope():
        classifier = build_classifier(
            image_size,
            settings.architecture,
            precision=settings.dtype_policy,
            use_cudnn=False if settings.deterministic else None,
        )
        inputs, answers = sequence_answers(
            logits_of(classifier), image_size, files.spec.input, settings.observation
        )
        accuracy = keras.metrics.MeanMetricWrapper(is_correct, name="accuracy")
        optimizer = make_optimizer(settings, plan.num_steps)
    if distribution.is_chief and checkpoint is None:
        classifier.summary()
    # Construct outside of `scope()`: Keras remembers the strategy at construction; without one it uses fit's.
    model = distribution.model_class(inputs, answers, name="sequence_classifier")
    with distribution.scope():
        model.compile(
            optimizer,
            keras.losses.BinaryCrossentropy(from_logits=True),
            weighted_metrics=[accuracy],
            steps_per_execution=plan.execution.steps_per_execution,
            jit_compile=by_xla() and distribution.compiles_steps,
        )
        optimizer.build(model.trainable_variables)
        compile_classifier(classifier, optimizer)
        if checkpoint is not None:
            restore_checkpoint(checkpoint, classifier)
    losses = [variable for metric in model.metrics if metric.name == "loss" for variable in metric.variables]
    return TrainingModel(model, classifier, [*losses, *accuracy.variables])


def is_correct(labels: Any, logits: Any) -> Any:
    """Whether the more probable class is the label.

    Args:
        labels: 0 or 1, any shape and dtype.
        logits: of the class 1, in the same shape.

    Returns:
        bool, in the same shape.
    """
    return ops.equal(ops.cast(labels, "bool"), logits > 0)
