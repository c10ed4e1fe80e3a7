import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from model import (
    ARCHITECTURES,
    PolyphaseConv2D,
    PolyphaseFlatten,
    PolyphaseMaxPool2D,
    ProjectedLSTM,
    build_classifier,
    polyphase,
)
from model.moving_line import with_sequence_inputs
from pipeline.moving_line.lines import draw_frames, sample_sequences

# Which of the ways to compute them is taken: operations one by one on a CPU, XLA, operations on a GPU.
FORMS = {"cpu": (True, False), "xla": (False, False), "gpu": (False, True)}


@pytest.mark.parametrize(
    ("form", "image_size"),
    # A bias' gradient at 50 adds up so many numbers that how a CPU adds up for the other forms shows.
    [*itertools.product(FORMS, [3, 4, 5, 8]), ("cpu", 50)],
)
def test_polyphase_layers_equal_conv_pool_flatten(
    form: str, image_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, wanted in zip(("on_cpu_kernels", "on_gpu_kernels"), FORMS[form], strict=True):
        monkeypatch.setattr(f"model.polyphase.{name}", lambda wanted=wanted: wanted)
    layers = keras.layers
    time_distributed = layers.TimeDistributed(
        keras.Sequential([layers.Conv2D(2, 2, activation="relu"), layers.MaxPooling2D(2), layers.Flatten()])
    )
    polyphase = keras.Sequential([PolyphaseConv2D(2), PolyphaseMaxPool2D(), PolyphaseFlatten()])
    frames = draw_frames(*sample_sequences(0, "train", image_size, 0, 3)).astype(np.float32)
    frames = np.concatenate([frames, np.random.default_rng(0).normal(size=frames.shape).astype(np.float32)])
    time_distributed(frames)
    polyphase(frames)
    # A bias above zero lets the background through: windows then hold the same value four times.
    weights = [time_distributed.get_weights()[0], np.array([0.3, -0.1], np.float32)]
    for layer in (time_distributed, polyphase):
        layer.set_weights(weights)
    np.testing.assert_allclose(polyphase(frames), time_distributed(frames), atol=1e-6)
    for mine, theirs in zip(_gradients(polyphase, frames), _gradients(time_distributed, frames), strict=True):
        if mine.shape != frames.shape:  # Within a window of equal values any pixel may get the gradient.
            # Sums of large terms that cancel out: rounding is that of the terms.
            np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(("chunk", "most"), [(7, 100), (7, 3), (1000, 1)])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_frames_are_convolved_in_chunks_of_any_size(
    monkeypatch: pytest.MonkeyPatch, chunk: int, most: int, dtype: str
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(polyphase, "_CHUNK", chunk)
    monkeypatch.setattr(polyphase, "_MAX_CHUNKS", most)
    frames = np.random.default_rng(0).integers(0, 5, (6, 5, 6, 6, 1)).astype(dtype)  # 30 in all.
    layer, expected = PolyphaseConv2D(2), keras.layers.Conv2D(2, 2)
    layer(frames)
    expected(frames[0].astype(np.float32))
    layer.set_weights([expected.get_weights()[0], np.array([0.3, -0.1], np.float32)])
    expected.set_weights(layer.get_weights())
    windows = ops.max_pool(expected(frames.reshape(30, 6, 6, 1).astype(np.float32)), 2)
    windows = ops.reshape(windows, (6, 5, 2, 2, 2))
    np.testing.assert_allclose(layer(frames), windows, atol=1e-5)
    any_batch = tf.function(layer, input_signature=[tf.TensorSpec([None, 5, 6, 6, 1], dtype)])
    np.testing.assert_allclose(any_batch(frames), windows, atol=1e-5)


def test_stored_frames_stay_bytes_up_to_the_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    call = PolyphaseConv2D.call

    def spied(self: PolyphaseConv2D, frames: object) -> object:
        seen.append(keras.backend.standardize_dtype(frames.dtype))  # type: ignore[attr-defined]
        return call(self, frames)

    monkeypatch.setattr(PolyphaseConv2D, "call", spied)
    model = with_sequence_inputs(build_classifier(6, precision="mixed_bfloat16"), 6, "frames")
    seen.clear()
    model({"frames": draw_frames(*sample_sequences(0, "train", 6, 0, 2))})
    assert seen == ["uint8"]


def _gradients(layer: keras.layers.Layer, inputs: np.ndarray) -> list[np.ndarray]:
    import tensorflow as tf

    tensor = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        loss = tf.reduce_sum(layer(tensor) ** 2)
    variables = [variable.value for variable in layer.trainable_variables]
    return [gradient.numpy() for gradient in tape.gradient(loss, [*variables, tensor])]


@pytest.mark.parametrize("timesteps", [1, 7, 50, 70])
def test_projected_lstm_equals_keras_lstm_in_outputs_and_gradients(timesteps: int) -> None:
    inputs = np.random.default_rng(1).normal(size=(5, timesteps, 12)).astype(np.float32)
    keras_lstm, projected = keras.layers.LSTM(8), ProjectedLSTM(8)
    keras_lstm(inputs)
    projected(inputs)
    projected.set_weights(keras_lstm.get_weights())
    np.testing.assert_allclose(projected(inputs), keras_lstm(inputs), atol=1e-6)
    for mine, theirs in zip(_gradients(projected, inputs), _gradients(keras_lstm, inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_projected_lstm_has_no_loop_when_it_is_to_be_unrolled() -> None:
    import tensorflow as tf

    for unroll in (False, True):
        lstm = ProjectedLSTM(2, unroll=unroll)
        lstm.build((None, 70, 3))
        signature = tf.TensorSpec((None, 70, 3), tf.float32)
        graph = tf.function(lstm).get_concrete_function(signature).graph
        assert any("While" in operation.type for operation in graph.get_operations()) is not unroll


def test_projected_lstm_starts_from_a_given_state() -> None:
    inputs = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    state = [np.full((3, 2), 0.3, np.float32), np.full((3, 2), -0.2, np.float32)]
    keras_lstm, projected = keras.layers.LSTM(2), ProjectedLSTM(2)
    projected(inputs)
    keras_lstm(inputs)
    projected.set_weights(keras_lstm.get_weights())
    expected = keras_lstm(inputs, initial_state=state)
    np.testing.assert_allclose(projected(inputs, initial_state=state), expected, atol=1e-6)


@pytest.mark.parametrize(
    "option", [{"return_state": True}, {"dropout": 0.1}, {"go_backwards": True}, {"use_bias": False}]
)
def test_projected_lstm_refuses_what_it_does_not_compute(option: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="hidden states only"):
        ProjectedLSTM(4, **option)


def test_projected_lstm_refuses_a_mask() -> None:
    with pytest.raises(ValueError, match="no mask"):
        ProjectedLSTM(4)(np.zeros((2, 3, 1), np.float32), mask=np.ones((2, 3), bool))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_loads_with_plain_keras(tmp_path: Path, architecture: str) -> None:
    model = build_classifier(6, architecture, timesteps=6)
    frames = draw_frames(*sample_sequences(0, "train", 6, 0, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(frames), model(frames))
