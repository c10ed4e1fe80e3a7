import keras
import numpy as np
import pytest
from keras import ops

from model import build_classifier
from model.moving_line import DrawLine, with_sequence_inputs
from pipeline.moving_line.lines import draw_frames, sample_sequences


@pytest.mark.parametrize("image_size", [2, 5, 50, 256])
def test_drawing_equals_the_definition(image_size: int) -> None:
    paths, labels = sample_sequences(0, "train", image_size, 0, 3 if image_size > 100 else 20)
    frames = ops.convert_to_numpy(DrawLine()(paths, labels))
    np.testing.assert_array_equal(frames, draw_frames(paths, labels))


def test_drawing_follows_the_precision_asked_for() -> None:
    paths, labels = sample_sequences(0, "train", 5, 0, 2)
    assert keras.backend.standardize_dtype(DrawLine(dtype="bfloat16")(paths, labels).dtype) == "bfloat16"


def test_both_encodings_feed_the_same_classifier() -> None:
    classifier = build_classifier(8)
    paths, labels = sample_sequences(0, "train", 8, 0, 6)
    frames = draw_frames(paths, labels)
    by_path = with_sequence_inputs(classifier, 8, "path")
    by_frames = with_sequence_inputs(classifier, 8, "frames")
    expected = classifier(frames.astype(np.float32))
    np.testing.assert_allclose(by_path({"path": paths, "label": labels}), expected, atol=1e-6)
    np.testing.assert_allclose(by_frames({"frames": frames}), expected, atol=1e-6)
