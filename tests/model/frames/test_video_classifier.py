"""The classifier of clips: folding time, padding, answers by frame, networks of `keras.applications`."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from model import answers_by_frame, logits_of
from model.frames import FrameEncoder, LastState, VideoClassifierOptions, build_video_classifier
from model.frames.encoders import build_encoder
from tests.runs import MULTIPLIES_BFLOAT16

SHAPE, CLASSES = (18, 26, 3), 5
RANDOM = np.random.default_rng(3)
CLIPS = {
    "frames": RANDOM.integers(0, 256, (6, 7, *SHAPE), np.uint8),
    "length": np.array([7, 1, 2, 6, 7, 3], np.int32),
}


def _built(**options: object) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_video_classifier(SHAPE, CLASSES, VideoClassifierOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["classic", "conv"])
def test_folding_time_is_applying_the_encoder_to_every_frame(architecture: str) -> None:
    encoder = build_encoder(architecture, SHAPE, "float32")
    folded = FrameEncoder(encoder)(CLIPS["frames"])
    looped = layers.TimeDistributed(encoder)(CLIPS["frames"])
    # Not bit by bit: on some processors a product depends on how many rows there are.
    folded, looped = (keras.ops.convert_to_numpy(each) for each in (folded, looped))
    np.testing.assert_allclose(folded, looped, rtol=0, atol=1e-6)


def test_the_classic_network_is_the_tutorials() -> None:
    classic = build_video_classifier((50, 50, 1), 2, VideoClassifierOptions("classic", units=50))
    # The tutorial's 240,661 parameters, with a second answer.
    assert classic.count_params() == 240_661 + 51


@pytest.mark.parametrize("temporal", ["lstm", "mean"])
@pytest.mark.parametrize("architecture", ["classic", "conv"])
def test_what_lies_behind_a_clip_changes_nothing(architecture: str, temporal: str) -> None:
    model = _built(architecture=architecture, temporal=temporal)
    answers = model.predict_on_batch(CLIPS)
    assert answers.shape == (6, CLASSES)
    np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-6)
    other = CLIPS["frames"].copy()
    for clip, length in zip(other, CLIPS["length"], strict=True):
        clip[length:] = 77
    np.testing.assert_array_equal(model.predict_on_batch({**CLIPS, "frames": other}), answers)
    alone = model.predict_on_batch({"frames": CLIPS["frames"][5:, :3], "length": CLIPS["length"][5:]})
    np.testing.assert_allclose(alone[0], answers[5], atol=1e-6)


@pytest.mark.parametrize("temporal", ["lstm", "mean"])
def test_answers_by_frame_are_those_to_shorter_clips(temporal: str) -> None:
    model = _built(temporal=temporal)
    by_frame = answers_by_frame(model).predict_on_batch(CLIPS)
    assert by_frame.shape == (6, 7, CLASSES)
    for length in range(1, 8):
        shorter = {**CLIPS, "length": np.full(6, length, np.int32)}
        np.testing.assert_allclose(model.predict_on_batch(shorter), by_frame[:, length - 1], atol=1e-6)


def test_the_mean_does_not_see_the_order_and_the_lstm_does() -> None:
    whole = {**CLIPS, "length": np.full(6, 7, np.int32)}
    backward = {**whole, "frames": CLIPS["frames"][:, ::-1]}
    mean, lstm = _built(temporal="mean"), _built()
    np.testing.assert_allclose(mean.predict_on_batch(whole), mean.predict_on_batch(backward), atol=1e-6)
    assert abs(lstm.predict_on_batch(whole) - lstm.predict_on_batch(backward)).max() > 1e-4


@pytest.mark.parametrize(
    "options",
    [{}, pytest.param({"temporal": "mean", "precision": "mixed_bfloat16"}, marks=MULTIPLIES_BFLOAT16)],
)
def test_a_saved_model_is_the_same(tmp_path: Path, options: dict[str, str]) -> None:
    model = _built(**options)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict_on_batch(CLIPS), model.predict_on_batch(CLIPS))
    logits = logits_of(again).predict_on_batch(CLIPS)
    softmax = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose(softmax, model.predict_on_batch(CLIPS), atol=1e-6)


@MULTIPLIES_BFLOAT16
def test_half_precision_keeps_weights_and_answers_float32() -> None:
    model = _built(precision="mixed_bfloat16")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert {layer.compute_dtype for layer in model.get_layer("encoder").encoder.layers[1:]} == {"bfloat16"}
    np.testing.assert_allclose(model.predict_on_batch(CLIPS), _built().predict_on_batch(CLIPS), atol=0.02)


@pytest.mark.slow
def test_a_frozen_network_of_keras_applications_keeps_weights_and_statistics(tmp_path: Path) -> None:
    shape = (32, 32, 1)
    keras.utils.set_random_seed(2)
    network = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    network.save_weights(tmp_path / "a.weights.h5")
    options = VideoClassifierOptions("MobileNetV2", weights=str(tmp_path / "a.weights.h5"), is_frozen=True)
    model = build_video_classifier(shape, 3, options)
    frames = RANDOM.integers(0, 256, (2, 3, *shape), np.uint8)
    encoder = model.get_layer("encoder")
    gray = np.repeat(frames[0].astype(np.float32), 3, axis=-1)
    known = network(keras.applications.mobilenet_v2.preprocess_input(gray), training=False)
    found = encoder(frames, training=True)[0]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(found), keras.ops.convert_to_numpy(known), atol=1e-5
    )
    before = encoder.get_weights()
    model.compile("adam", "sparse_categorical_crossentropy")
    inputs = {"frames": frames, "length": np.array([3, 2], np.int32)}
    model.fit(inputs, np.array([0, 1]), verbose=0)
    for mine, theirs in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_copies_compute_with_the_weights_of_their_normalization() -> None:
    """Keras' layer keeps what it derived from its first weights."""
    norm = layers.Normalization()
    norm.adapt(RANDOM.normal(100, 30, (50, 26, 3)))
    inputs = {
        "frames": layers.Input((None, *SHAPE), name="frames"),
        "length": layers.Input((), name="length"),
    }
    encoder = keras.Sequential([layers.Input(SHAPE), norm, layers.GlobalAveragePooling2D()])
    features = FrameEncoder(encoder)(inputs["frames"])
    model = keras.Model(inputs, LastState()(features, inputs["length"]))
    by_frame = answers_by_frame(model).predict_on_batch(CLIPS)
    np.testing.assert_allclose(by_frame[0, -1], model.predict_on_batch(CLIPS)[0], atol=1e-5)


def test_unknown_networks_and_small_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give one of classic, conv, .*MobileNetV2"):
        build_encoder("resnet", SHAPE, "float32")
    with pytest.raises(ValueError, match="at least 32x32"):
        build_encoder("ResNet50", SHAPE, "float32")
