"""Classifier, training and prediction the tutorial way: TimeDistributed layers, arrays in memory, `fit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from benchmarks.data import SEED
from pipeline.moving_line.lines import draw_frames, sample_sequences
from trainer.distributed.devices import choose_device
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

_BATCH_SIZE = 32
_PREDICTED_AT_ONCE = 1_000  # Frames of all held-out sequences would not fit in memory.


def tutorial_model(image_size: int, optimizer: str | keras.optimizers.Optimizer) -> keras.Model:
    """The same network, compiled as Keras does by default."""
    model = keras.Sequential(
        [
            layers.Input((image_size, image_size, image_size, 1)),
            layers.TimeDistributed(layers.Conv2D(2, 2, activation="relu")),
            layers.TimeDistributed(layers.MaxPooling2D(2)),
            layers.TimeDistributed(layers.Flatten()),
            layers.LSTM(50),
            layers.Dense(1, activation="sigmoid", dtype="float32"),
        ]
    )
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def tutorial_arrays(
    seed: int, image_size: int, count: int, split: str = "train", first: int = 0, dtype: str = "float32"
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Frames (count, S, S, S, 1) of the dtype and labels (count,), float32, in memory."""
    paths, labels = sample_sequences(seed, split, image_size, first, count)
    return draw_frames(paths, labels).astype(dtype, copy=False), labels.astype(np.float32)


def train_tutorial(
    model: Any,
    frames: Any,
    labels: Any,
    batch_size: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """One pass over the arrays."""
    model.fit(frames, labels, batch_size=batch_size, epochs=1, verbose=0, callbacks=[*callbacks])


def errors_from_nothing(image_size: int, steps: int, learning_rate: float, num_test: int, seed: int) -> int:
    """Make arrays, train on batches of 32, predict; how many of the held-out sequences it gets wrong.

    The seed is that of weights and data; the learning rate is Adam's, and falls as a cosine.
    """
    keras.utils.set_random_seed(seed)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model = tutorial_model(image_size, keras.optimizers.Adam(schedule, beta_2=0.99))
    # Bytes, which Keras casts batch by batch: as float32 they would take four times the memory.
    frames, labels = tutorial_arrays(seed, image_size, steps * _BATCH_SIZE, dtype="uint8")
    train_tutorial(model, frames, labels, _BATCH_SIZE)
    errors = 0
    for first in range(0, num_test, _PREDICTED_AT_ONCE):
        count = min(_PREDICTED_AT_ONCE, num_test - first)
        frames, labels = tutorial_arrays(seed, image_size, count, "test", first, "uint8")
        errors += int(((model.predict(frames, verbose=0)[:, 0] >= 0.5) != labels).sum())
    return errors


def predict(model_dir: str, num_sequences: int) -> dict[str, float]:
    """Draw the first sequences of the test split, compile, predict with a run's weights, on the CPU.

    Gives ``sequences_per_second``, and the share of right answers as ``accuracy``.
    """
    choose_device("cpu")
    trained = load_trained_model(RunDirectory(model_dir))
    model = tutorial_model(trained.image_size, "adam")
    model.set_weights(trained.classifier.get_weights())
    frames, labels = tutorial_arrays(SEED, trained.image_size, num_sequences, "test")
    model.predict(frames[:64], verbose=0)  # Compiles.
    start = time.perf_counter()
    answers = model.predict(frames, verbose=0)
    rate = len(frames) / (time.perf_counter() - start)
    accuracy = float(np.mean((answers[:, 0] >= 0.5) == labels))
    return {"sequences_per_second": rate, "accuracy": accuracy}
