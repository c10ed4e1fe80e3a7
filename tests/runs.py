"""Runs that stand where a test needs them, whatever a training comes to on this machine."""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from trainer.distributed.strategy import distributed
from trainer.input.split_files import read_manifest, split_files
from trainer.run.identity import write_config
from trainer.run.run_directory import RunDirectory
from trainer.training.build import build_training_model
from trainer.training.checkpoints import read_state, save_checkpoint
from trainer.training.plan import make_plan
from trainer.training.settings import Execution, TrainingSettings
from trainer.training.training_state import TrainingState

# No loss is below 0, and that of a finite model is far below 1e9: its logarithms are cut off at 1e-7.
LOWEST, HIGHEST = "0", "1e9"

# Of the network's weights for 8 x 8 frames.
SHAPES = [(2, 2, 1, 2), (2,), (18, 200), (50, 200), (200,), (50, 1), (1,)]

Weights = list[npt.NDArray[np.float32]]

# TensorFlow asks the processor whether oneDNN multiplies bfloat16, not oneDNN: held down to less, it crashes.
MULTIPLIES_BFLOAT16 = pytest.mark.skipif(
    os.environ.get("ONEDNN_MAX_CPU_ISA", "").startswith(("SSE", "AVX2")),
    reason="ONEDNN_MAX_CPU_ISA leaves oneDNN without bfloat16, and TensorFlow crashes",
)


def set_back(run: Path, step: int, val_loss: str) -> None:
    """Leave of a run what it leaves if it is killed after an epoch, which had this validation loss.

    Args:
        run: a finished run that kept the checkpoint of ``step``.
        step: the last one of an epoch, which becomes the one with the lowest validation loss.
        val_loss: as it stands in the history.
    """
    directory = RunDirectory(str(run))
    state = read_state(directory.checkpoint_path(step))
    state.history[-1]["val_loss"] = val_loss
    classifier = keras.models.load_model(directory.checkpoint_path(step))
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    (run / "model.keras").unlink()
    for checkpoint in (directory.checkpoint_path(step), directory.best_checkpoint_path):
        save_checkpoint(checkpoint, classifier, state)


def weights_that_know(strength: float) -> Weights:
    """Weights by which the network tells whether a line comes from the left.

    It holds on to what it sees first: a pixel in the leftmost windows or in the rightmost ones. The few lines
    that begin along the lowest row, which no window looks at, it may get wrong. What some steps of a training
    change is little beside weights as large as these.

    Args:
        strength: what its last layer makes of that: with 0 every answer is 0.5, with 8 only that to a line of
            which it sees nothing; the others are below 0.01 or above 0.99.
    """
    weights = [np.zeros(shape, np.float32) for shape in SHAPES]
    filters, biases, inputs, recurrent, gates, last, _ = weights
    filters[..., 0], biases[0] = 1, -0.5  # Whether there is a pixel.
    windows = inputs.reshape(3, 3, 2, 4, 50)  # Rows, columns and filters to gates and units.
    windows[:, 0, 0, 2, 0], windows[:, 2, 0, 2, 0] = 10, -10
    recurrent.reshape(50, 4, 50)[0, 2, 0] = 300
    gates.reshape(4, 50)[[0, 1, 3], 0] = 10  # Open.
    last[0] = strength
    return weights


def weights_of_a_seed() -> Weights:
    """Weights with which the answers differ from sequence to sequence.

    Of this seed those to the sequences that tests judge are at least 1e-4 away from 0.5, and those to lines
    of one direction as far from those of the other, so that rounding changes no count and no rank.
    """
    random, scales = np.random.default_rng(6), (0.5, 0.1, 0.3, 0.1, 0.1, 1.5, 0)
    weights = [random.normal(0, scale, shape) for scale, shape in zip(scales, SHAPES, strict=True)]
    weights[-1][:] = 0.4  # About half of the answers are above 0.5.
    return [weight.astype(np.float32) for weight in weights]


def copy_with_weights(run: Path, copy: Path, weights: Weights) -> Path:
    """A copy of a finished run, whose model has other weights."""
    shutil.copytree(run, copy)
    model = str(copy / "model.keras")
    state, classifier = read_state(model), keras.models.load_model(model)
    classifier.set_weights(weights)
    save_checkpoint(model, classifier, state)
    return copy


def begin_with_weights(run: Path, data: Path, settings: TrainingSettings, weights: Weights) -> None:
    """Make a run that stands before its first step, with given weights.

    Args:
        run: made.
        data: of 8 x 8 frames.
        settings: with ``steps_per_epoch`` and ``readers``, as ``config.json`` has them.
        weights: of its network.
    """
    manifest, execution, directory = read_manifest(str(data)), Execution(), RunDirectory(str(run))
    files = split_files(str(data), manifest, "train")
    plan = make_plan(settings, execution, files, 1)
    with distributed("test", execution, None, {}) as distribution:
        classifier = build_training_model(plan, files, distribution, None).classifier
    classifier.set_weights(weights)
    run.mkdir()
    write_config(directory, plan.settings, execution, str(data), manifest, {})
    save_checkpoint(directory.checkpoint_path(0), classifier, TrainingState())
