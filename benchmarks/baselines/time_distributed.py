"""The classifier of clips in plain Keras: TimeDistributed layers and Keras' LSTM, for arrays in memory."""

from __future__ import annotations

import keras
from keras import layers


def time_distributed_model(
    shape: tuple[int, int, int, int], units: int, num_classes: int, optimizer: keras.optimizers.Optimizer
) -> keras.Model:
    """A model from frames (batch, T, H, W, C), 0 to 255, compiled as Keras does by default."""
    frame_layers = [
        layers.Rescaling(1 / 255, -0.5),
        layers.Conv2D(16, 3, 2, padding="same", activation="relu"),
        layers.Conv2D(32, 3, 2, padding="same", activation="relu"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Flatten(),
    ]
    model = keras.Sequential(
        [
            layers.Input(shape),
            *map(layers.TimeDistributed, frame_layers),
            layers.LSTM(units),
            layers.Dense(num_classes, activation="softmax", dtype="float32"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
