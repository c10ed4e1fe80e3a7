"""The trainer's batches, and the two ways of training that are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.baselines.tutorial import train_tutorial, tutorial_arrays, tutorial_model
from benchmarks.data import SEED
from benchmarks.step_needs import Network, training_bytes, training_operations
from model.moving_line import LineClassifier
from pipeline.moving_line.lines import draw_frames, sample_sequences
from trainer.distributed.strategy import distributed
from trainer.input.batches import training_batches
from trainer.input.feeds import Part, training_part
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.moving_line.records import image_size_of
from trainer.training.build import build_training_model
from trainer.training.input_clock import InputClock
from trainer.training.plan import make_plan
from trainer.training.settings import Execution, TrainingSettings

READERS = 16


def train_files(data_dir: str) -> SplitFiles:
    """The training split of a data set."""
    return split_files(data_dir, read_manifest(data_dir), "train")


def batches_of(files: SplitFiles, batch_size: int, first_step: int = 0) -> tf.data.Dataset:
    """Endless shuffled batches as the trainer reads them, from a step on."""
    readers = min(READERS, len(files.paths))
    return training_batches(files, batch_size=batch_size, seed=SEED, readers=readers, first_step=first_step)


class FirstStep(keras.callbacks.Callback):
    """Notes something when the first step is done: what a call of `fit` has to start lies before that."""

    async_safe = True  # Or Keras would wait for the loss of every step.

    def __init__(self, note: Callable[[], float]) -> None:
        super().__init__()
        self._note = note
        self.time, self.noted = 0.0, 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """See Keras; of several epochs, the first one's first step counts."""
        if not self.time:
            self.time, self.noted = time.perf_counter(), self._note()


class Ours:
    """The trainer's model and input, by `fit`.

    Attributes:
        precision: that it computes in.
        rate: sequences a second of the last call, after its first step.
        input_wait: share of that time that was spent waiting for input.
    """

    def __init__(self, data_dir: str, batch_size: int, precision: str, device: str) -> None:
        self._settings = TrainingSettings(
            batch_size=batch_size, precision=precision, schedule="constant", seed=SEED
        )
        files = train_files(data_dir)
        execution = Execution(device=device, distribution="none")
        self._plan = make_plan(self._settings, execution, files, 1)
        self._files = files.shown(self._plan.view)
        with distributed("benchmark", execution, None, {}) as distribution:
            self.model = build_training_model(self._plan, self._files, distribution, None)
        self.precision = precision
        self.rate = self.input_wait = 0.0
        self._step = 0

    @property
    def image_size(self) -> int:
        """Of the sequences, where they are moving lines."""
        return image_size_of(self._files.spec)

    @property
    def needs(self) -> dict[str, int]:
        """Operations and bytes that training on a sequence takes at least; see `benchmarks.step_needs`."""
        network = Network.of(self.model.classifier)
        is_path = self._files.spec.input == "path"
        draws = not (is_path and LineClassifier.takes(self.model.classifier, self._settings.observation))
        stored = network.size + 1 if is_path else network.size**3
        number = 4 if self.precision == "float32" else 2
        return {
            "operations": training_operations(network, draws),
            "bytes": training_bytes(network, draws, stored, number),
        }

    def batch(self) -> tuple[dict[str, Any], Any]:
        """Features and labels of the run's first step."""
        features, labels = next(iter(self.batches(0)))
        return features, labels

    def batches(self, first_step: int) -> tf.data.Dataset:
        """Endless batches as the trainer reads them, from a step on."""
        return training_part(self._files, self._settings, self._plan.readers, first_step, Part(0, 1))

    def train(self, steps: int) -> None:
        """Train some steps."""
        clock, batches = InputClock(), self.batches(self._step)
        first = FirstStep(lambda: clock.seconds)
        self.model.sequence_model.fit(
            clock.timed(batches), steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[first]
        )
        seconds = time.perf_counter() - first.time
        self.rate = (steps - 1) * self._settings.batch_size / seconds
        self.input_wait = (clock.seconds - first.noted) / seconds
        self._step += steps


class Tutorial:
    """The tutorial's model, on arrays in memory, by `fit`.

    It begins with the weights of `Ours` and takes its precision, by Keras' global policy as its guide does.

    Attributes:
        rate: sequences a second of the last call, after its first step.
    """

    def __init__(self, ours: Ours, batch_size: int, steps: int) -> None:
        optimizer = type(ours.model.sequence_model.optimizer).from_config(
            ours.model.sequence_model.optimizer.get_config()
        )
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(ours.precision)
        self.model = tutorial_model(ours.image_size, optimizer)
        keras.config.set_dtype_policy(before)
        self.model.set_weights(ours.model.classifier.get_weights())
        self.rate = 0.0
        self._batch_size = batch_size
        self._frames, self._labels = tutorial_arrays(SEED, ours.image_size, steps * batch_size)

    def train(self, steps: int) -> None:
        """Train some steps."""
        count = steps * self._batch_size
        first = FirstStep(lambda: 0.0)
        train_tutorial(self.model, self._frames[:count], self._labels[:count], self._batch_size, [first])
        self.rate = (steps - 1) * self._batch_size / (time.perf_counter() - first.time)


def largest_difference(ours: Ours, tutorial: Tutorial) -> float:
    """Between the probabilities that both give for 64 sequences, before training."""
    frames = draw_frames(*sample_sequences(1, "test", ours.image_size, 0, 64)).astype(np.float32)
    answers = [keras.ops.convert_to_numpy(model(frames)) for model in (ours.model.classifier, tutorial.model)]
    return float(np.abs(answers[0] - answers[1]).max())
