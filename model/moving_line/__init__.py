"""What stands between stored moving lines and the classifier of frames."""

from model.moving_line.drawing import DrawLine, NewestPixel
from model.moving_line.line_classifier import LineClassifier
from model.moving_line.sequence_inputs import observed_frames, sequence_answers, with_sequence_inputs

__all__ = [
    "DrawLine",
    "LineClassifier",
    "NewestPixel",
    "observed_frames",
    "sequence_answers",
    "with_sequence_inputs",
]
