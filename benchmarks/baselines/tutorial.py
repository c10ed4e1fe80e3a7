"""Classifier and training as tutorials write them: TimeDistributed layers, arrays in memory, `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from pipeline.moving_line.lines import draw_frames, sample_sequences


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
