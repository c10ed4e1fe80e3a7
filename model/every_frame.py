"""Copies of a classifier with other options of its LSTM: with an answer per frame, or without cuDNN."""

from __future__ import annotations

from typing import Any

import keras

from model.frames.over_time import LastState, MeanOverTime


def answers_by_frame(classifier: keras.Model) -> keras.Model:
    """Make a model that gives, for each frame, the classifier's answer to the sequence up to that frame.

    The layers after the LSTM are applied to its states of all timesteps instead of the last one.

    Args:
        classifier: as `model.build_classifier` or `model.frames.build_video_classifier` returns it, in any
            architecture.

    Returns:
        A model with a copy of the weights and the classifier's inputs, to its answers after every timestep,
        float32 (batch, timesteps, answers). At the last timestep they equal the classifier's.

    Raises:
        ValueError: if the classifier has no LSTM.
    """
    if any(isinstance(layer, LastState | MeanOverTime) for layer in classifier.layers):
        return _with_options(classifier, (LastState, MeanOverTime), every_frame=True)
    if not any(isinstance(layer, keras.layers.LSTM) for layer in classifier.layers):
        raise ValueError("the classifier has no LSTM whose states could be looked at")
    return _with_lstm(classifier, return_sequences=True)


def without_cudnn(classifier: keras.Model) -> keras.Model:
    """Return the classifier, or a copy whose LSTM does not use cuDNN, so that XLA can compile it.

    Needed for loaded models: the file of Keras' own LSTM does not store ``use_cudnn``, and that of
    `ProjectedLSTM` stores the choice for the machine that wrote it.
    """
    over_time = [layer for layer in classifier.layers if isinstance(layer, keras.layers.LSTM)]
    if all(layer.supports_jit for layer in over_time):
        return classifier
    return _with_lstm(classifier, use_cudnn=False)


def _with_lstm(classifier: keras.Model, **options: Any) -> keras.Model:
    """Copy a classifier with other options of its LSTM."""
    return _with_options(classifier, (keras.layers.LSTM,), **options)


def _with_options(
    classifier: keras.Model, kinds: tuple[type[keras.layers.Layer], ...], **options: Any
) -> keras.Model:
    """Copy a classifier with other options of its layers of these kinds."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.LSTM):
            config |= {"use_cudnn": layer.use_cudnn}
        if isinstance(layer, kinds):
            config |= options
        return type(layer).from_config(config)

    copy = keras.models.clone_model(classifier, clone_function=clone)
    copy_weights(classifier, copy)
    return copy


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give a model the weights of another of the same architecture."""
    target.set_weights(source.get_weights())
    for layer in target._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # It computes with what it made of its weights before.
