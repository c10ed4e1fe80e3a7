"""The classifier: a CNN-LSTM in Keras, its layers, and what stands between it and stored paths.

Everything here is written in ``keras`` and ``keras.ops`` alone, so it runs on the TensorFlow and the JAX
backend. Importing this package registers the custom layers, so that ``keras.models.load_model`` opens a
saved ``model.keras``.
"""

from model.architectures import ARCHITECTURES, build_classifier, logits_of
from model.drawing import DrawLine
from model.every_frame import answers_by_frame, without_cudnn
from model.line_classifier import LineClassifier
from model.observation import LINES, FlipPixels, NewestPixel, Observation, RandomWindow, SaltAndPepper
from model.polyphase import PolyphaseConv2D, PolyphaseFlatten, PolyphaseMaxPool2D
from model.recurrent import ProjectedLSTM
from model.sequence_inputs import observed_frames, sequence_answers, with_sequence_inputs

__all__ = [
    "ARCHITECTURES",
    "LINES",
    "DrawLine",
    "FlipPixels",
    "LineClassifier",
    "NewestPixel",
    "Observation",
    "PolyphaseConv2D",
    "PolyphaseFlatten",
    "PolyphaseMaxPool2D",
    "ProjectedLSTM",
    "RandomWindow",
    "SaltAndPepper",
    "answers_by_frame",
    "build_classifier",
    "logits_of",
    "observed_frames",
    "sequence_answers",
    "with_sequence_inputs",
    "without_cudnn",
]
