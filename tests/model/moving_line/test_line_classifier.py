import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from model import Observation, answers_by_frame, build_classifier, logits_of
from model.moving_line import LineClassifier, observed_frames, with_sequence_inputs
from pipeline.moving_line.lines import sample_sequences
from tests.conftest import ROOT
from tests.runs import MULTIPLIES_BFLOAT16

LINE = Observation()
OBSERVATIONS = [
    LINE,
    Observation(line="dot"),
    Observation(window=2, seed=3),
    Observation(line="dot", window=3, seed=4),
]


def _features(image_size: int, observation: Observation) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Lines of both labels, and as many whose rows are arbitrary."""
    paths, labels = sample_sequences(0, "train", image_size, 0, 8)
    assert set(labels) == {0, 1}
    anywhere = np.random.default_rng(0).integers(0, image_size, paths.shape, np.uint8)
    labels = np.concatenate([labels, labels])
    features = {"path": np.concatenate([paths, anywhere]), "label": labels.astype(np.uint8)}
    if observation.is_random:
        features["number"] = np.arange(len(labels), dtype=np.uint32)
    return features, labels[:, None].astype(np.float32)


def _classifiers(image_size: int) -> tuple[keras.Model, keras.Model]:
    """Folded and layerwise with the same weights."""
    folded, layerwise = build_classifier(image_size), build_classifier(image_size, "layerwise", image_size)
    weights = folded.get_weights()
    weights[0][:] = np.random.default_rng(1).normal(size=weights[0].shape)
    weights[1][:] = 0.3, -0.1  # A bias above zero lets the background through.
    folded.set_weights(weights)
    layerwise.set_weights(weights)
    return folded, layerwise


def _drawn(classifier: keras.Model, image_size: int, observation: Observation) -> keras.Model:
    inputs, frames = observed_frames(image_size, "path", observation)
    return keras.Model(inputs, classifier(frames))


def _gradients(model: keras.Model, features: dict[str, np.ndarray], expected: np.ndarray) -> list[np.ndarray]:
    if keras.backend.backend() == "jax":
        import jax

        others = [variable.value for variable in model.non_trainable_variables]

        def loss_with(trainable: list[object]) -> object:
            answers, _ = model.stateless_call(trainable, others, features)
            return ops.mean(keras.losses.binary_crossentropy(expected, answers))

        gradients = jax.jit(jax.grad(loss_with))([variable.value for variable in model.trainable_variables])
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = ops.mean(keras.losses.binary_crossentropy(expected, model(features)))
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    return [np.asarray(gradient) for gradient in gradients]


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("image_size", [3, 4, 5, 8, 50])
def test_outputs_and_gradients_are_those_of_drawn_frames(image_size: int, observation: Observation) -> None:
    folded, layerwise = _classifiers(image_size)
    if observation.window is not None:
        layerwise = build_classifier(image_size, "layerwise", observation.window)
        layerwise.set_weights(folded.get_weights())
    lines = with_sequence_inputs(folded, image_size, "path", observation)
    assert any(isinstance(layer, LineClassifier) for layer in lines.layers)
    drawn = _drawn(layerwise, image_size, observation)
    features, expected = _features(image_size, observation)
    answers = ops.convert_to_numpy(lines(features))
    assert np.ptp(answers) > 1e-4
    np.testing.assert_allclose(answers, ops.convert_to_numpy(drawn(features)), rtol=0, atol=1e-6)
    for mine, theirs in zip(
        _gradients(lines, features, expected), _gradients(drawn, features, expected), strict=True
    ):
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("line", ["line", "dot"])
@pytest.mark.parametrize("image_size", [3, 8, 70])
def test_answers_after_every_frame_are_those_to_drawn_frames(image_size: int, line: str) -> None:
    observation = Observation(line=line)
    folded, layerwise = _classifiers(image_size)
    lines = with_sequence_inputs(answers_by_frame(folded), image_size, "path", observation)
    assert any(isinstance(layer, LineClassifier) for layer in lines.layers)
    features, _ = _features(image_size, observation)
    answers = ops.convert_to_numpy(lines(features))
    assert answers.shape == (16, image_size, 1)
    drawn = _drawn(answers_by_frame(layerwise), image_size, observation)
    np.testing.assert_allclose(answers, ops.convert_to_numpy(drawn(features)), rtol=0, atol=1e-6)


def test_gradients_repeat_bit_for_bit() -> None:
    model = with_sequence_inputs(build_classifier(50), 50, "path")
    features, expected = _features(50, Observation())
    first = _gradients(model, features, expected)
    for _ in range(3):
        for mine, again in zip(first, _gradients(model, features, expected), strict=True):
            np.testing.assert_array_equal(mine, again)


def test_the_variables_are_the_classifiers() -> None:
    classifier = build_classifier(8)
    model = with_sequence_inputs(classifier, 8, "path")
    assert len(model.variables) == len(classifier.variables)
    for mine, theirs in zip(model.trainable_variables, classifier.trainable_variables, strict=True):
        assert mine is theirs


@pytest.mark.parametrize(
    ("image_size", "architecture", "precision", "observation"),
    [
        (8, "layerwise", "float32", Observation()),
        (8, "submodel", "float32", Observation()),
        (8, "folded", "float32", Observation(noise=0.1)),
        (8, "folded", "float32", Observation(flips=0.1)),
        (2, "folded", "float32", Observation()),
    ],
)
def test_frames_are_drawn_where_they_have_to_be(
    image_size: int, architecture: str, precision: str, observation: Observation
) -> None:
    classifier = build_classifier(image_size, architecture, image_size, precision)
    model = with_sequence_inputs(classifier, image_size, "path", observation)
    features, _ = _features(image_size, observation)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model(features)),
        ops.convert_to_numpy(_drawn(classifier, image_size, observation)(features)),
    )
    assert model.get_layer("draw_line")


@pytest.mark.parametrize(
    ("precision", "rounding"),
    [
        pytest.param("mixed_bfloat16", 2**-8, marks=MULTIPLIES_BFLOAT16),
        pytest.param("mixed_float16", 2**-11, marks=pytest.mark.slow),
    ],
)
def test_half_precision_draws_no_frames_either(precision: str, rounding: float) -> None:
    half, layerwise = (build_classifier(8, name, 8, precision) for name in ("folded", "layerwise"))
    lines, drawn = with_sequence_inputs(logits_of(half), 8, "path"), _drawn(logits_of(layerwise), 8, LINE)
    assert any(isinstance(layer, LineClassifier) for layer in lines.layers)
    features, _ = _features(8, LINE)
    errors: list[list[np.ndarray]] = [[], []]
    for seed in range(6):
        keras.utils.set_random_seed(seed)
        _, whole = _classifiers(8)
        exact = ops.convert_to_numpy(_drawn(logits_of(whole), 8, LINE)(features))
        for model, classifier, found in zip((lines, drawn), (half, layerwise), errors, strict=True):
            classifier.set_weights(whole.get_weights())
            found.append(ops.convert_to_numpy(model(features)) - exact)
        assert 0 < np.abs(errors[0][-1]).max() < 20 * rounding * np.abs(exact).max()
    # No worse than where frames are drawn: in the mean over many, for which is larger is chance in each.
    ours, theirs = (np.sqrt(np.mean(np.square(found))) for found in errors)
    assert ours < 1.5 * theirs


def test_cudnns_lstm_gets_frames() -> None:
    classifier = build_classifier(8)
    assert LineClassifier.takes(classifier, Observation())
    classifier.get_layer("lstm").supports_jit = False  # As Keras leaves it where it chose cuDNN's.
    assert not LineClassifier.takes(classifier, Observation())


@pytest.mark.storm
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="it starts the tests on the other backend"
)
def test_much_of_this_on_jax() -> None:
    pytest.importorskip("jax")
    chosen = "5-observation0 or 5-observation3 or 8-line"  # XLA takes long with the larger ones.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, __file__],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
