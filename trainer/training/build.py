"""Builds and compiles the model that `fit` trains: the classifier with stored sequences as its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from model.execution import by_xla
from pipeline.command_line.errors import RequestError
from trainer.distributed.strategy import Distribution
from trainer.input.split_files import SplitFiles
from trainer.tasks.trainable_kind import trainable_kind
from trainer.training.checkpoints import restore_checkpoint
from trainer.training.optimizer import make_optimizer
from trainer.training.plan import Plan


@dataclass(frozen=True)
class TrainingModel:
    """Two models with the same weights and the same optimizer.

    Attributes:
        sequence_model: maps stored sequences to logits; trained by `fit`.
        classifier: maps frames to probabilities; saved in checkpoints.
        totals: variables with the running sums of loss and metrics in the current epoch.
        looks_at: what `sequence_model` computes with, for users.
    """

    sequence_model: keras.Model
    classifier: keras.Model
    totals: list[Any]
    looks_at: str

    @property
    def description(self) -> str:
        """The model's input and its compiler, for users."""
        return (
            f"looks at {self.looks_at}, {'compiled by XLA' if by_xla() else 'one operation after the other'}"
        )


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
    settings, kind = plan.settings, trainable_kind(files.spec, plan.settings.task)
    keras.utils.set_random_seed(settings.seed)
    with distribution.scope():
        networks = kind.networks(settings, files.shown(plan.view))
        classifier, metrics = networks.classifier, networks.metrics
        optimizer = make_optimizer(settings, plan.num_steps)
    _check_resumable(classifier, distribution)
    # Construct outside of `scope()`: Keras remembers the strategy at construction; without one it uses fit's.
    model = distribution.model_class(networks.inputs, networks.logits, name="sequence_classifier")
    with distribution.scope():
        model.compile(
            optimizer,
            networks.loss,
            weighted_metrics=metrics,
            steps_per_execution=plan.execution.steps_per_execution,
            jit_compile=by_xla() and distribution.compiles_steps,
        )
        optimizer.build(model.trainable_variables)
        # So that its file contains the optimizer, too.
        classifier.compile(optimizer, networks.saved_loss, metrics=["accuracy"])
        if checkpoint is not None:
            restore_checkpoint(checkpoint, classifier)
    losses = [metric for metric in model.metrics if metric.name == "loss"]
    totals = [variable for metric in [*losses, *metrics] for variable in metric.variables]
    return TrainingModel(model, classifier, totals, kind.described(model))


def _check_resumable(classifier: keras.Model, distribution: Distribution) -> None:
    """Check that a training of a network keeps its promises.

    Raises:
        RequestError: if it has layers whose random state no checkpoint holds, or whose statistics would
            differ between replicas.
    """
    found = [layer for layer in classifier._flatten_layers() if layer.trainable]
    if any(isinstance(layer, keras.layers.Dropout) for layer in found):
        raise RequestError(
            "--architecture: this network has dropout, whose random state no checkpoint holds; add"
            " --freeze_backbone, or choose another"
        )
    replicas = distribution.num_replicas * distribution.num_processes
    if replicas > 1 and any(isinstance(layer, keras.layers.BatchNormalization) for layer in found):
        raise RequestError(
            "--architecture: this network has BatchNormalization, whose statistics would differ between"
            f" {replicas} replicas; add --freeze_backbone, or train on one device"
        )
