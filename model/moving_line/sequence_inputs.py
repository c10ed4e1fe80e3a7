"""What stands between the records of a data set and the classifier of frames."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from model.moving_line.drawing import DrawLine, NewestPixel
from model.moving_line.line_classifier import LineClassifier
from model.observation import FlipPixels, Observation, RandomWindow, SaltAndPepper
from model.polyphase import PolyphaseConv2D


def observed_frames(image_size: int, encoding: str, observation: Observation) -> tuple[dict[str, Any], Any]:
    """Inputs as they are stored, and the frames that a classifier gets to see of them.

    Args:
        image_size: S.
        encoding: "path" draws ``{"path": uint8 (batch, S), "label": uint8 (batch,)}`` into frames on the
            device; "frames" takes ``{"frames": uint8 (batch, S, S, S, 1)}``.
        observation: what of them is seen. If it is random, there is an input ``"number"`` besides, uint32
            (batch,): which example it is.

    Returns:
        Symbolic inputs by name, and symbolic frames, uint8 (batch, timesteps, S, S, 1).
    """
    inputs = _inputs(image_size, encoding, observation)
    if encoding == "path":
        frames = DrawLine(observation.line, dtype="uint8", name="draw_line")(inputs["path"], inputs["label"])
    else:
        frames = inputs["frames"]
        if observation.line == "dot":
            frames = NewestPixel(name="newest_pixel", dtype="uint8")(frames)
    if observation.is_random:
        number = inputs["number"]
        if observation.window is not None:
            window = RandomWindow(observation.window, observation.seed, dtype="uint8", name="window")
            frames = window(frames, number)
        if observation.noise > 0:
            noise = SaltAndPepper(observation.noise, observation.seed, dtype="uint8", name="noise")
            frames = noise(frames, number)
        if observation.flips > 0:
            flips = FlipPixels(observation.flips, observation.flip_seed, dtype="uint8", name="flips")
            frames = flips(frames, number)
    return inputs, frames


def sequence_answers(
    classifier: keras.Model, image_size: int, encoding: str, observation: Observation
) -> tuple[dict[str, Any], Any]:
    """Inputs as they are stored, and what a classifier of frames says of them, with the classifier's weights.

    Paths are not drawn where `LineClassifier` can do without.

    Returns:
        The symbolic inputs of `observed_frames`, and the classifier's symbolic answers.
    """
    if encoding == "path" and LineClassifier.takes(classifier, observation):
        inputs = _inputs(image_size, encoding, observation)
        return inputs, LineClassifier(classifier, observation, name="line_classifier")(**inputs)
    inputs, frames = observed_frames(image_size, encoding, observation)
    _, *layers_of_it = classifier.layers
    if not isinstance(layers_of_it[0], PolyphaseConv2D):
        return inputs, classifier(frames)
    # It takes bytes as they are; the model would make numbers of four bytes of them first.
    answers = frames
    for layer in layers_of_it:
        answers = layer(answers)
    return inputs, answers


def with_sequence_inputs(
    classifier: keras.Model,
    image_size: int,
    encoding: str,
    observation: Observation = Observation(),  # noqa: B008  # Frozen.
) -> keras.Model:
    """A model from the inputs of `observed_frames` to what a classifier of frames gives.

    It shares the classifier's weights.
    """
    inputs, answers = sequence_answers(classifier, image_size, encoding, observation)
    return keras.Model(inputs, answers, name="sequence_classifier")


def _inputs(image_size: int, encoding: str, observation: Observation) -> dict[str, Any]:
    shapes = (
        {"path": (image_size,), "label": ()}
        if encoding == "path"
        else {"frames": (image_size, image_size, image_size, 1)}
    )
    inputs = {name: layers.Input(shape, dtype="uint8", name=name) for name, shape in shapes.items()}
    if observation.is_random:
        inputs["number"] = layers.Input((), dtype="uint32", name="number")
    return inputs
