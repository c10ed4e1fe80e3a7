"""The classifier as it is exported: the trained one's layers and weights, made anew for converters.

Whatever network it is, each of its layers is made again from its configuration, but

- in float32, which every runtime computes in, whatever precision it was trained in;
- with all frames in one batch where Keras has `keras.layers.TimeDistributed`, which makes a loop over them
  that no converter takes, or, if it knows how many there are, a graph for each.

No GPU may be visible: the layers over time would take cuDNN's operators, which run on GPUs only.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from model import ProjectedLSTM
from model.polyphase import layer_of_frames

_HALF_PRECISION = ("mixed_bfloat16", "mixed_float16")


def float32_copy(classifier: keras.Model) -> keras.Model:
    """A copy in the same layers, for TensorFlow."""
    return _copy(classifier, timesteps=None, for_converters=False)


def convertible_copy(classifier: keras.Model, timesteps: int | None = None) -> keras.Model:
    """A copy in the layers that converters to other runtimes know best: Keras' own.

    Args:
        classifier: of frames, as `trainer.run.trained_model.TrainedModel` has it.
        timesteps: the fixed number of them, for which every loop over time is unrolled; None keeps loops, and
            takes any number, if the classifier does.

    Returns:
        A model from ``frames``, uint8 (batch, timesteps, S, S, 1), to ``{"right": float32 (batch, 1)}``:
        exported files have these names.
    """
    copy = _copy(classifier, timesteps, for_converters=True)
    frames = layers.Input(copy.input_shape[1:], dtype="uint8", name="frames")
    return keras.Model(frames, {"right": copy(frames)})


def _copy(classifier: keras.Model, timesteps: int | None, for_converters: bool) -> keras.Model:
    def settled(config: Any) -> Any:
        if isinstance(config, dict):
            config = {name: settled(value) for name, value in config.items()}
            return {**config, "unroll": timesteps is not None} if "unroll" in config else config
        if isinstance(config, list):
            return [settled(value) for value in config]
        return "float32" if isinstance(config, str) and config in _HALF_PRECISION else config

    def copied(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=copied)
        if not isinstance(layer, layers.Layer):  # One of `keras.ops`, without weights.
            return layer
        layer = (for_converters and layer_of_frames(layer)) or layer
        if isinstance(layer, layers.TimeDistributed):
            return _FramesAtOnce(copied(layer.layer), name=layer.name)
        kind = type(layer)
        if for_converters and kind is ProjectedLSTM and timesteps is None:
            kind = layers.LSTM  # The loop that converters know: it becomes one operator.
        elif for_converters and kind is layers.LSTM and timesteps and ProjectedLSTM.can_stand_for(layer):
            kind = ProjectedLSTM  # Of what is unrolled, one product is faster than one for every timestep.
        return kind.from_config(settled(layer.get_config()))

    _, any_timesteps, *shape = classifier.input_shape
    frames = layers.Input((timesteps or any_timesteps, *shape))
    copy = keras.models.clone_model(classifier, input_tensors=frames, clone_function=copied)
    copy.set_weights(classifier.get_weights())
    return copy


class _FramesAtOnce(layers.TimeDistributed):
    """`keras.layers.TimeDistributed`, as one call of its layer."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Map (batch, timesteps, ...) to (batch, timesteps, ...)."""
        timesteps = ops.shape(inputs)[1]
        outputs = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])))
        return ops.reshape(outputs, (-1, timesteps, *outputs.shape[1:]))
