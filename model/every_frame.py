"""The classifier's answer after every frame, from one pass over the sequence."""

from __future__ import annotations

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

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.LSTM):
            config |= {"return_sequences": True, "use_cudnn": layer.use_cudnn}
        return type(layer).from_config(config)

    every_frame = keras.models.clone_model(classifier, clone_function=clone)
    every_frame.set_weights(classifier.get_weights())
    return every_frame
