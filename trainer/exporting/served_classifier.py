"""Copies a classifier for export.

Each layer is made again from its configuration, with these changes:

- The precision is float32, which every runtime supports.
- `keras.layers.TimeDistributed` is replaced by one call with all frames in one batch. Its own loop over
  timesteps cannot be converted, and its unrolled form repeats the layer's graph for each timestep.

No GPU may be visible: else the LSTM would use cuDNN's operators, which run on GPUs only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from model import ProjectedLSTM
from model.polyphase import layer_of_frames

_HALF_PRECISION = ("mixed_bfloat16", "mixed_float16")


def float32_copy(classifier: keras.Model) -> keras.Model:
    """Copy a classifier with the same layers, for TensorFlow."""
    return _copy(classifier, timesteps=None, for_converters=False)


def convertible_copy(classifier: keras.Model, output: str, timesteps: int | None = None) -> keras.Model:
    """Copy a classifier with Keras' own layers, which converters support best.

    Args:
        classifier: maps frames to probabilities, as `trainer.run.trained_model.TrainedModel.classifier`.
        output: name of the output.
        timesteps: fixed number of timesteps, over which loops are unrolled; None keeps loops, and the
            classifier's own number of timesteps.

    Returns:
        A model from ``frames``, uint8 (batch, timesteps, H, W, C), or from inputs by name as the classifier
        has them, to probabilities by the output's name. The exported file has these names.
    """
    copy = convertible_layers(classifier, timesteps)
    if isinstance(copy.input, Mapping):
        inputs = _inputs_by_name(copy, None)
    else:
        inputs = layers.Input(copy.input_shape[1:], dtype="uint8", name="frames")
    return keras.Model(inputs, {output: copy(inputs)})


def convertible_layers(classifier: keras.Model, timesteps: int | None = None) -> keras.Model:
    """The layers of `convertible_copy`, with the inputs and the output of the classifier."""
    return _copy(classifier, timesteps, for_converters=True)


def _copy(classifier: keras.Model, timesteps: int | None, for_converters: bool) -> keras.Model:
    def exported_config(config: Any) -> Any:
        if isinstance(config, dict):
            config = {name: exported_config(value) for name, value in config.items()}
            return {**config, "unroll": timesteps is not None} if "unroll" in config else config
        if isinstance(config, list):
            return [exported_config(value) for value in config]
        return "float32" if isinstance(config, str) and config in _HALF_PRECISION else config

    def copied(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=copied)
        if not isinstance(layer, layers.Layer):  # An operation of `keras.ops`, without weights.
            return layer
        layer = (for_converters and layer_of_frames(layer)) or layer
        if isinstance(layer, layers.TimeDistributed):
            return _FramesAtOnce(copied(layer.layer), name=layer.name)
        kind = type(layer)
        if for_converters and kind is ProjectedLSTM and timesteps is None:
            kind = layers.LSTM  # Converters turn its loop into one operator.
        elif for_converters and kind is layers.LSTM and timesteps and ProjectedLSTM.can_stand_for(layer):
            kind = ProjectedLSTM  # Unrolled, one input product for all timesteps is faster.
        return kind.from_config(exported_config(layer.get_config()))

    if isinstance(classifier.input, Mapping):
        inputs = _inputs_by_name(classifier, timesteps)
    else:
        _, any_timesteps, *shape = classifier.input_shape
        inputs = layers.Input((timesteps or any_timesteps, *shape))
    copy = keras.models.clone_model(classifier, input_tensors=inputs, clone_function=copied)
    copy.set_weights(classifier.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, layers.Normalization):
            # It computes with tensors that it derives from its weights. Of NumPy, they become constants.
            layer.finalize_state()
            layer.mean, layer.variance = map(ops.convert_to_numpy, (layer.mean, layer.variance))
    return copy


def _inputs_by_name(classifier: keras.Model, timesteps: int | None) -> dict[str, Any]:
    """Inputs as a classifier of clips has them; None for its own number of timesteps."""
    shapes = {name: list(each.shape[1:]) for name, each in classifier.input.items()}
    shapes["frames"][0] = timesteps or shapes["frames"][0]
    return {
        name: layers.Input(shapes[name], dtype=each.dtype, name=name)
        for name, each in classifier.input.items()
    }


class _FramesAtOnce(layers.TimeDistributed):
    """`keras.layers.TimeDistributed` in one call of its layer, with timesteps folded into the batch."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Map (batch, timesteps, ...) to (batch, timesteps, ...)."""
        timesteps = ops.shape(inputs)[1]
        outputs = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])))
        return ops.reshape(outputs, (-1, timesteps, *outputs.shape[1:]))
