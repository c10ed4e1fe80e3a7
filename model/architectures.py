"""The classifier's architectures: three ways to write one network.

Conv2D(2 filters, 2 x 2, relu) -> MaxPooling2D(2 x 2) -> Flatten over every frame; LSTM(50) over time;
Dense(1, sigmoid). All take each other's weights by ``set_weights(get_weights())`` and give the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from model.polyphase import PolyphaseConv2D, PolyphaseFlatten, PolyphaseMaxPool2D
from model.recurrent import ProjectedLSTM

_FILTERS, _KERNEL_SIZE, _POOL_SIZE, _UNITS = 2, 2, 2, 50


def _frame_layers(image_size: int) -> list[layers.Layer]:
    # At S = 2 the convolution leaves a single pixel, which only a padded pool can take.
    padding = "valid" if image_size > _KERNEL_SIZE else "same"
    return [
        layers.Conv2D(_FILTERS, _KERNEL_SIZE, activation="relu", name="conv"),
        layers.MaxPooling2D(_POOL_SIZE, padding=padding, name="pool"),
        layers.Flatten(name="flatten"),
    ]


def _folded(frames: Any, image_size: int) -> Any:
    """All timesteps at once wherever one does not wait for another: the fastest."""
    frame_layers: list[layers.Layer] = [
        PolyphaseConv2D(_FILTERS, name="conv"),
        PolyphaseMaxPool2D(name="pool"),
        PolyphaseFlatten(name="flatten"),
    ]
    if image_size == _KERNEL_SIZE:  # Whose single output has no phases.
        frame_layers = [layers.TimeDistributed(layer, name=layer.name) for layer in _frame_layers(image_size)]
    for layer in frame_layers:
        frames = layer(frames)
    return ProjectedLSTM(_UNITS, name="lstm")(frames)


def _layerwise(frames: Any, image_size: int) -> Any:
    """Each layer in TimeDistributed: as tutorials write it."""
    for layer in _frame_layers(image_size):
        frames = layers.TimeDistributed(layer, name=layer.name)(frames)
    return layers.LSTM(_UNITS, name="lstm")(frames)


def _submodel(frames: Any, image_size: int) -> Any:
    """One TimeDistributed over a model of the frame."""
    cnn = keras.Sequential(
        [layers.Input((image_size, image_size, 1)), *_frame_layers(image_size)], name="cnn"
    )
    return layers.LSTM(_UNITS, name="lstm")(layers.TimeDistributed(cnn, name="frames_cnn")(frames))


ARCHITECTURES: dict[str, Callable[[Any, int], Any]] = {
    "folded": _folded,
    "layerwise": _layerwise,
    "submodel": _submodel,
}


def build_classifier(
    image_size: int, architecture: str = "folded", timesteps: int | None = None
) -> keras.Model:
    """The classifier of frames, not compiled.

    Args:
        image_size: S in pixels, at least 2.
        architecture: one of `ARCHITECTURES`.
        timesteps: None takes any number; a number fixes it.

    Returns:
        A model from (batch, timesteps, S, S, 1), values 0 and 1 of any dtype, to the probability of
        "right", float32 of shape (batch, 1). 240,661 parameters at S = 50.

    Raises:
        ValueError: for an unknown architecture.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r}: give one of {', '.join(ARCHITECTURES)}")
    frames = layers.Input((timesteps, image_size, image_size, 1), name="frames")
    features = ARCHITECTURES[architecture](frames, image_size)
    probability = layers.Dense(1, activation="sigmoid", dtype="float32", name="right")(features)
    return keras.Model(frames, probability, name="classifier")
