"""What stands between the records of a data set and the classifier of frames."""

from __future__ import annotations

import keras
from keras import layers

from model.drawing import DrawLine


def with_sequence_inputs(classifier: keras.Model, image_size: int, encoding: str) -> keras.Model:
    """A model that takes a data set's features as they are stored; it shares the classifier's weights.

    Args:
        classifier: from `model.build_classifier`.
        image_size: S.
        encoding: "path" draws ``{"path": uint8 (batch, S), "label": uint8 (batch,)}`` into frames on the
            device; "frames" takes ``{"frames": uint8 (batch, S, S, S, 1)}``.

    Returns:
        A model to the probability of "right", float32 of shape (batch, 1).
    """
    if encoding == "path":
        path = layers.Input((image_size,), dtype="uint8", name="path")
        label = layers.Input((), dtype="uint8", name="label")
        inputs = {"path": path, "label": label}
        frames = DrawLine(name="draw_line")(path, label)
    else:
        frames = layers.Input((image_size, image_size, image_size, 1), dtype="uint8", name="frames")
        inputs = {"frames": frames}
    return keras.Model(inputs, classifier(frames), name="sequence_classifier")


def classifier_of(model: keras.Model) -> keras.Model:
    """The classifier of frames inside a model made by `with_sequence_inputs`."""
    return model.get_layer("classifier")
