from pathlib import Path

import keras
import numpy as np
import pytest

from model import ARCHITECTURES, answers_by_frame, build_classifier, without_cudnn
from pipeline.moving_line.lines import draw_frames, sample_sequences


def test_parameters_layer_by_layer_at_50() -> None:
    model = build_classifier(50)
    assert [layer.count_params() for layer in model.layers[1:]] == [10, 0, 0, 240_600, 51, 0]
    printed: list[str] = []
    model.summary(print_fn=lambda line, **_: printed.append(line))
    assert "240,661" in "\n".join(printed)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_has_240661_parameters(architecture: str) -> None:
    assert build_classifier(50, architecture).count_params() == 240_661


@pytest.mark.parametrize("timesteps", [pytest.param(50, marks=pytest.mark.storm), 7])
@pytest.mark.parametrize("fixed", [True, False])
def test_architectures_are_equal_with_each_others_weights(timesteps: int, fixed: bool) -> None:
    models = {
        name: build_classifier(50, name, timesteps=timesteps if fixed else None) for name in ARCHITECTURES
    }
    paths, labels = sample_sequences(0, "train", 50, 0, 8)
    lines = draw_frames(paths, labels)[:, :timesteps].astype(np.float32)
    noise = np.random.default_rng(0).uniform(-1, 1, lines.shape).astype(np.float32)
    for donor in models.values():
        outputs = []
        for model in models.values():
            model.set_weights(donor.get_weights())
            outputs.append(np.concatenate([np.asarray(model(lines)), np.asarray(model(noise))]))
        assert outputs[0].shape == (16, 1)
        assert np.ptp(outputs[0]) > 1e-3
        for output in outputs[1:]:
            np.testing.assert_allclose(output, outputs[0], rtol=0, atol=1e-6)


def test_gradients_of_architectures_agree() -> None:
    import keras
    import tensorflow as tf

    models = [build_classifier(50, name) for name in ARCHITECTURES]
    paths, labels = sample_sequences(0, "train", 50, 0, 8)
    frames, expected = draw_frames(paths, labels).astype(np.float32), labels.astype(np.float32)[:, None]
    gradients = []
    for model in models:
        model.set_weights(models[0].get_weights())
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(expected, model(frames)))
        gradients.append(tape.gradient(loss, [variable.value for variable in model.trainable_variables]))
    for other in gradients[1:]:
        for mine, theirs in zip(gradients[0], other, strict=True):
            scale = float(np.abs(theirs).max())
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * scale)


def test_one_model_takes_any_number_of_timesteps() -> None:
    model = build_classifier(6)
    for timesteps in (1, 4, 13):
        assert model(np.zeros((2, timesteps, 6, 6, 1), np.float32)).shape == (2, 1)


def test_the_output_depends_on_the_order_of_the_frames() -> None:
    model = build_classifier(10)
    frames = draw_frames(*sample_sequences(0, "train", 10, 0, 4)).astype(np.float32)
    assert not np.allclose(model(frames), model(frames[:, ::-1]), atol=1e-5)


@pytest.mark.parametrize("image_size", [2, 3, 4, 256])
def test_the_smallest_and_the_largest_images_have_a_model(image_size: int) -> None:
    model = build_classifier(image_size)
    assert model(np.ones((1, 2, image_size, image_size, 1), np.float32)).shape == (1, 1)


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match=", ".join(ARCHITECTURES)):
        build_classifier(50, "transformer")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("image_size", "timesteps"), [(2, None), (8, None), (8, 8), (70, None)])
def test_answers_by_frame_are_those_to_sequences_that_end_there(
    architecture: str, image_size: int, timesteps: int | None
) -> None:
    classifier = build_classifier(image_size, architecture, timesteps)
    frames = draw_frames(*sample_sequences(0, "test", image_size, 0, 5))
    answers = np.asarray(answers_by_frame(classifier)(frames))
    assert answers.shape == (5, image_size, 1)
    np.testing.assert_allclose(answers[:, -1], np.asarray(classifier(frames)), atol=1e-6)
    if timesteps is None:
        for seen in (1, 2, image_size // 2 + 1):
            expected = np.asarray(classifier(frames[:, :seen]))
            np.testing.assert_allclose(answers[:, seen - 1], expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cudnns_lstm_is_replaced_where_xla_compiles(architecture: str) -> None:
    classifier = build_classifier(6, architecture, 6)
    assert without_cudnn(classifier) is classifier
    classifier.get_layer("lstm").supports_jit = False  # As Keras leaves it where it chose cuDNN's.
    assert classifier.get_layer("lstm").use_cudnn == "auto"
    copy = without_cudnn(classifier)
    assert copy.get_layer("lstm").use_cudnn is False
    frames = draw_frames(*sample_sequences(0, "test", 6, 0, 5))
    np.testing.assert_allclose(np.asarray(copy(frames)), np.asarray(classifier(frames)), atol=1e-6)


@pytest.mark.parametrize("use_cudnn", ["auto", False])
def test_a_classifier_keeps_whether_cudnn_may_be_taken(tmp_path: Path, use_cudnn: bool | str) -> None:
    classifier = build_classifier(6, use_cudnn=use_cudnn)
    classifier.save(tmp_path / "model.keras")
    for found in (keras.models.load_model(tmp_path / "model.keras"), answers_by_frame(classifier)):
        assert found.get_layer("lstm").use_cudnn == use_cudnn
    layerwise = answers_by_frame(build_classifier(6, "layerwise", 6, use_cudnn=use_cudnn))
    assert layerwise.get_layer("lstm").use_cudnn == use_cudnn


def test_answers_by_frame_need_an_lstm() -> None:
    model = keras.Sequential([keras.layers.Input((None, 3)), keras.layers.GlobalAveragePooling1D()])
    with pytest.raises(ValueError, match="no LSTM"):
        answers_by_frame(model)
