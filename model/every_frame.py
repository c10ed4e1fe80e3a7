"""A classifier with another way through time: its answer after every frame, or without cuDNN."""

from __future__ import annotations

from typing import Any

import keras


def answers_by_frame(classifier: keras.Model) -> keras.Model:
    """A model that says after every frame what the classifier would say if the sequence ended there.

    The classifier's LSTM has seen frames 1 to t when it comes to its t-th state; the layers after it are
    applied to all states instead of the last.

    Args:
        classifier: as `model.build_classifier` makes it, in any architecture.

    Returns:
        A model with a copy of the weights, from (batch, timesteps, S, S, 1) to the probabilities of "right",
        float32 (batch, timesteps, 1). The last are the classifier's.

    Raises:
        ValueError: if the classifier has no LSTM.
    """
    if not any(isinstance(layer, keras.layers.LSTM) for layer in classifier.layers):
        raise ValueError("the classifier has no LSTM whose states could be looked at")
    return _with_lstm(classifier, return_sequences=True)


def without_cudnn(classifier: keras.Model) -> keras.Model:
    """The classifier, or a copy of it, with layers over time that XLA can compile.

    Files say of Keras' own LSTM nothing about cuDNN, and of any what suited the machine that wrote them.
    """
    over_time = [layer for layer in classifier.layers if isinstance(layer, keras.layers.LSTM)]
    if all(layer.supports_jit for layer in over_time):
        return classifier
    return _with_lstm(classifier, use_cudnn=False)


def _with_lstm(classifier: keras.Model, **options: Any) -> keras.Model:
    """A copy with other options of the LSTM."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.LSTM):
            config |= {"use_cudnn": layer.use_cudnn, **options}
        return type(layer).from_config(config)

    copy = keras.models.clone_model(classifier, clone_function=clone)
    copy.set_weights(classifier.get_weights())
    return copy
