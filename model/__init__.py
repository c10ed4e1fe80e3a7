"""The classifier: a CNN-LSTM in Keras, its layers, and how sequences are shown to it.

Everything here is written in ``keras`` and ``keras.ops`` alone, so it runs on the TensorFlow and the JAX
backend. Importing this package registers the custom layers, so that ``keras.models.load_model`` opens a
saved ``model.keras``.
"""

from model.architectures import ARCHITECTURES, build_classifier, logits_of
from model.every_frame import answers_by_frame, copy_weights, without_cudnn
from model.observation import LINES, FlipPixels, Observation, RandomWindow, SaltAndPepper
from model.polyphase import PolyphaseConv2D, PolyphaseFlatten, PolyphaseMaxPool2D
from model.recurrent import ProjectedLSTM

__all__ = [
    "ARCHITECTURES",
    "LINES",
    "FlipPixels",
    "Observation",
    "PolyphaseConv2D",
    "PolyphaseFlatten",
    "PolyphaseMaxPool2D",
    "ProjectedLSTM",
    "RandomWindow",
    "SaltAndPepper",
    "answers_by_frame",
    "build_classifier",
    "copy_weights",
    "logits_of",
    "without_cudnn",
]
