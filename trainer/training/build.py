"""The model that is trained: the classifier of frames, given the stored sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from model import DrawLine, LineClassifier, build_classifier, logits_of, sequence_answers
from model.execution import by_xla
from trainer.distributed.strategy import Distribution
from trainer.input.split_files import SplitFiles
from trainer.training.checkpoints import compile_classifier, restore
from trainer.training.plan import Plan

# The loss falls by orders of magnitude within hundreds of steps. Adam's usual 0.999 averages the squared
# gradients over a thousand, so that a late hard example would meet steps sized by long forgotten ones.
ADAM_BETA_2 = 0.99


@dataclass(frozen=True)
class TrainingModel:
    """Two models with the same weights and the same optimizer.

    Attributes:
        sequence_model: from stored sequences to logits; `fit` trains it.
        classifier: from frames to probabilities; checkpoints hold it.
        totals: variables of the loss and the metrics of the epoch under way.
    """

    sequence_model: keras.Model
    classifier: keras.Model
    totals: list[Any]

    @property
    def description(self) -> str:
        """What the trained model looks at and what carries it out, for people."""
        kinds = set(map(type, self.sequence_model.layers))
        seen = "paths" if LineClassifier in kinds else "drawn frames" if DrawLine in kinds else "frames"
        return f"looks at {seen}, {'compiled by XLA' if by_xla() else 'one operation after the other'}"


def build_training_model(
    plan: Plan, files: SplitFiles, distribution: Distribution, checkpoint: str | None
) -> TrainingModel:
    """Build and compile.

    Args:
        plan: of the run.
        files: the training split.
        distribution: where it runs.
        checkpoint: to take weights and optimizer from; None draws new weights from the seed.
    """
    settings = plan.settings
    keras.utils.set_random_seed(settings.seed)
    with distribution.scope():
        classifier = build_classifier(
            files.image_size,
            settings.architecture,
            precision=settings.dtype_policy,
            use_cudnn=False if settings.deterministic else None,
        )
        inputs, answers = sequence_answers(
            logits_of(classifier), files.image_size, files.encoding.name, settings.observation
        )
        accuracy = keras.metrics.MeanMetricWrapper(right_answers, name="accuracy")
        optimizer = _optimizer(plan)
    if distribution.is_chief and checkpoint is None:
        classifier.summary()
    # Under a strategy, a model that is made outside of it trains within it; the other way round it does not.
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
            restore(checkpoint, classifier)
    losses = [variable for metric in model.metrics if metric.name == "loss" for variable in metric.variables]
    return TrainingModel(model, classifier, [*losses, *accuracy.variables])


def right_answers(labels: Any, logits: Any) -> Any:
    """Whether the more probable class is the label: bool, of the shape of both."""
    return ops.equal(ops.cast(labels, "bool"), logits > 0)


def _optimizer(plan: Plan) -> keras.optimizers.Optimizer:
    settings = plan.settings
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine" or settings.warmup_steps:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if settings.warmup_steps else rate,
            max(1, plan.num_steps - settings.warmup_steps),
            alpha=0.0 if settings.schedule == "cosine" else 1.0,
            warmup_target=rate if settings.warmup_steps else None,
            warmup_steps=settings.warmup_steps,
        )
    optimizer = keras.optimizers.Adam(rate, beta_2=ADAM_BETA_2, global_clipnorm=settings.clip_norm)
    if settings.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
