"""The classifier, in three implementations of one network.

The network: Conv2D(2 filters, 2 x 2, relu) -> MaxPooling2D(2 x 2) -> Flatten for each frame; LSTM(50) over
time; Dense(1); sigmoid. The implementations give the same outputs, and weights can be exchanged between them
by ``set_weights(get_weights())``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from model.execution import by_xla
from model.polyphase import PolyphaseConv2D, PolyphaseFlatten, PolyphaseMaxPool2D
from model.recurrent import ProjectedLSTM

_FILTERS, _KERNEL_SIZE, _POOL_SIZE, _UNITS = 2, 2, 2, 50


@dataclass(frozen=True)
class LayerOptions:
    """Options of the layers of all architectures.

    Attributes:
        dtype: Keras dtype policy of the layers.
        use_cudnn: as in `keras.layers.LSTM`.
    """

    dtype: str
    use_cudnn: bool | str

    def lstm(self, layer_class: type[layers.LSTM]) -> layers.LSTM:
        """Make the layer over time, of the given class."""
        return layer_class(_UNITS, dtype=self.dtype, use_cudnn=self.use_cudnn, name="lstm")


def _frame_layers(image_size: int, dtype: Any) -> list[layers.Layer]:
    # At S = 2 the convolution has a single output, which needs padding to be pooled.
    padding = "valid" if image_size > _KERNEL_SIZE else "same"
    return [
        layers.Conv2D(_FILTERS, _KERNEL_SIZE, activation="relu", dtype=dtype, name="conv"),
        layers.MaxPooling2D(_POOL_SIZE, padding=padding, dtype=dtype, name="pool"),
        layers.Flatten(dtype=dtype, name="flatten"),
    ]


def _folded(frames: Any, image_size: int, options: LayerOptions) -> Any:
    """All timesteps of a layer in one operation, except for the recurrence: the fastest."""
    if image_size == _KERNEL_SIZE:  # The single output has no phases.
        return _layerwise(frames, image_size, options)
    for layer in (
        PolyphaseConv2D(_FILTERS, dtype=options.dtype, name="conv"),
        PolyphaseMaxPool2D(dtype=options.dtype, name="pool"),
        PolyphaseFlatten(dtype=options.dtype, name="flatten"),
    ):
        frames = layer(frames)
    return options.lstm(ProjectedLSTM)(frames)


def _layerwise(frames: Any, image_size: int, options: LayerOptions) -> Any:
    """Each layer in a TimeDistributed, as in tutorials."""
    for layer in _frame_layers(image_size, options.dtype):
        frames = layers.TimeDistributed(layer, dtype=options.dtype, name=layer.name)(frames)
    return options.lstm(layers.LSTM)(frames)


def _submodel(frames: Any, image_size: int, options: LayerOptions) -> Any:
    """One TimeDistributed over a model of all frame layers."""
    cnn = keras.Sequential(
        [layers.Input((image_size, image_size, 1)), *_frame_layers(image_size, options.dtype)], name="cnn"
    )
    features = layers.TimeDistributed(cnn, dtype=options.dtype, name="frames_cnn")(frames)
    return options.lstm(layers.LSTM)(features)


ARCHITECTURES: dict[str, Callable[[Any, int, LayerOptions], Any]] = {
    "folded": _folded,
    "layerwise": _layerwise,
    "submodel": _submodel,
}


def build_classifier(
    image_size: int,
    architecture: str = "folded",
    timesteps: int | None = None,
    precision: str = "float32",
    use_cudnn: bool | str | None = None,
) -> keras.Model:
    """Build the classifier of frames, not compiled.

    Args:
        image_size: S in pixels, at least 2.
        architecture: one of `ARCHITECTURES`.
        timesteps: fixed number of timesteps; None allows any number.
        precision: a Keras dtype policy: "float32", "mixed_bfloat16" or "mixed_float16". Weights and the last
            layer are float32 in all of them.
        use_cudnn: whether to use cuDNN's LSTM on a GPU, as in `keras.layers.LSTM`. None means False if XLA
            compiles, which does not support it, else "auto".

    Returns:
        A model from (batch, timesteps, S, S, 1), values 0 and 1 of any dtype, to the probability of "right",
        float32 (batch, 1). It has 240,661 parameters at S = 50.

    Raises:
        ValueError: if the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r}: give one of {', '.join(ARCHITECTURES)}")
    if use_cudnn is None:
        use_cudnn = False if by_xla() else "auto"
    frames = layers.Input((timesteps, image_size, image_size, 1), name="frames")
    features = ARCHITECTURES[architecture](frames, image_size, LayerOptions(precision, use_cudnn))
    logit = layers.Dense(1, dtype="float32", name="right")(features)
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(logit)
    return keras.Model(frames, probability, name="classifier")


def logits_of(classifier: keras.Model) -> keras.Model:
    """Return the classifier without its sigmoid, sharing its layers and weights.

    For losses, which take logits: a float32 probability rounded to 0 or 1 has no gradient.
    """
    return keras.Model(classifier.inputs, classifier.layers[-1].input, name=classifier.name)
