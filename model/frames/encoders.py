"""Encoders of a frame: two small networks of this project, and those of `keras.applications`."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

# The tutorial's network, and a small modern one.
ARCHITECTURES = ("classic", "conv")

_CLASSIC_FILTERS, _CLASSIC_KERNEL, _CLASSIC_POOL = 2, 2, 2
# Filters, strides, and whether pooling follows. Pooling after the first convolution loses small motions.
_CONV = ((16, 2, False), (32, 2, True), (64, 1, True))


@keras.saving.register_keras_serializable("moving_lines")
class FrameEncoder(layers.Layer):
    """Applies an encoder of a frame to all frames at once: time is folded into the batch axis.

    Equals `keras.layers.TimeDistributed`, which loops over time.

    Args:
        encoder: maps frames (n, H, W, C) to features (n, F).

    Call arguments:
        frames: (batch, timesteps, H, W, C).

    Returns:
        Features, (batch, timesteps, F).
    """

    def __init__(self, encoder: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder

    def call(self, frames: Any, training: bool | None = None) -> Any:
        """Encode every frame."""
        timesteps = ops.shape(frames)[1]
        # A frozen encoder drops nothing out.
        training = training and self.trainable
        features = self.encoder(ops.reshape(frames, (-1, *frames.shape[2:])), training=training)
        return ops.reshape(features, (-1, timesteps, features.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FrameEncoder:
        """The inverse of `get_config`."""
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**{**config, "encoder": encoder})


@keras.saving.register_keras_serializable("moving_lines")
class ApplicationInputs(layers.Layer):
    """Frames as a network of `keras.applications` expects them.

    Args:
        application: name of the network.
        highest: value of white.

    Call arguments:
        frames: (n, H, W, 1) or (n, H, W, 3), values 0 to ``highest``.

    Returns:
        (n, H, W, 3), in the range of the network's ``preprocess_input``.
    """

    def __init__(self, application: str, highest: int = 255, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.application = application
        self.highest = highest

    def call(self, frames: Any) -> Any:
        """Repeat gray frames for three channels; scale."""
        frames = ops.cast(frames, self.compute_dtype) * (255 / self.highest)
        if frames.shape[-1] == 1:
            frames = ops.repeat(frames, 3, axis=-1)
        preprocess: Callable[..., Any] = vars(sys.modules[_application(self.application).__module__])[
            "preprocess_input"
        ]
        return preprocess(frames, data_format="channels_last")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "application": self.application, "highest": self.highest}


def application_names() -> list[str]:
    """Names of the networks of `keras.applications`."""
    return [name for name, found in vars(keras.applications).items() if inspect.isfunction(found)]


def build_encoder(
    architecture: str,
    frame_shape: tuple[int, int, int],
    dtype: Any,
    weights: str | None = None,
    highest: int = 255,
) -> keras.Model:
    """Build an encoder of a frame.

    Args:
        architecture: one of `ARCHITECTURES`, or a name of `keras.applications`.
        frame_shape: (height, width, channels).
        dtype: Keras dtype policy of its layers.
        weights: path of a file of weights for a network of `keras.applications`; None draws them.
        highest: value of white.

    Returns:
        A model from uint8 frames (n, H, W, C), values 0 to ``highest``, to features (n, F).

    Raises:
        ValueError: if the architecture is unknown, or cannot have frames of this shape, or these weights.
    """
    frames = layers.Input(frame_shape, dtype="uint8", name="frame")
    if architecture in ARCHITECTURES:
        features = layers.Rescaling(1 / highest, -0.5, dtype=dtype, name="rescaling")(frames)
        for layer in (_classic if architecture == "classic" else _conv)(frame_shape, dtype):
            features = layer(features)
        return keras.Model(frames, features, name=architecture)
    build = _application(architecture)
    shape = (*frame_shape[:2], 3)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)  # The networks take no policy as an argument.
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that a file has no weights for.
            warnings.simplefilter("error" if weights else "default", UserWarning)
            network = build(include_top=False, weights=weights, input_shape=shape, pooling="avg")
        inputs = ApplicationInputs(architecture, highest, name="inputs")(frames)
        return keras.Model(frames, network(inputs), name=architecture.lower())
    finally:
        keras.config.set_dtype_policy(policy)


def _application(name: str) -> Callable[..., keras.Model]:
    if name not in application_names():
        known = ", ".join((*ARCHITECTURES, *application_names()))
        raise ValueError(f"architecture {name!r}: give one of {known}")
    network: Callable[..., keras.Model] = vars(keras.applications)[name]
    return network


def _classic(frame_shape: tuple[int, int, int], dtype: Any) -> list[layers.Layer]:
    # A convolution's single output needs padding to be pooled.
    padding = "same" if min(frame_shape[:2]) <= _CLASSIC_KERNEL else "valid"
    return [
        layers.Conv2D(_CLASSIC_FILTERS, _CLASSIC_KERNEL, activation="relu", dtype=dtype, name="conv"),
        layers.MaxPooling2D(_CLASSIC_POOL, padding=padding, dtype=dtype, name="pool"),
        layers.Flatten(dtype=dtype, name="flatten"),
    ]


def _conv(frame_shape: tuple[int, int, int], dtype: Any) -> list[layers.Layer]:
    made: list[layers.Layer] = []
    for number, (filters, strides, is_pooled) in enumerate(_CONV):
        made.append(
            layers.Conv2D(
                filters,
                3,
                strides,
                padding="same",
                activation="relu",
                dtype=dtype,
                name=f"conv_{number}",
            )
        )
        if is_pooled:
            made.append(layers.MaxPooling2D(2, padding="same", dtype=dtype, name=f"pool_{number}"))
    return [*made, layers.Flatten(dtype=dtype, name="flatten")]
