import keras
import numpy as np
import pytest
from keras import ops

from model import Observation, build_classifier
from model.moving_line import observed_frames, with_sequence_inputs
from pipeline.moving_line.lines import draw_frames, sample_sequences

SIZE = 12
PATHS, LABELS = sample_sequences(0, "train", SIZE, 0, 400)
FRAMES = draw_frames(PATHS, LABELS)
NUMBERS = np.arange(len(PATHS), dtype=np.uint32)


def _observe(observation: Observation, encoding: str = "path", count: int = len(PATHS)) -> np.ndarray:
    inputs, frames = observed_frames(SIZE, encoding, observation)
    features: dict[str, np.ndarray] = {
        "path": PATHS,
        "label": LABELS.astype(np.uint8),
        "frames": FRAMES,
        "number": NUMBERS,
    }
    model = keras.Model(inputs, frames)
    given = {name: features[name][:count] for name in inputs}
    return np.asarray(ops.convert_to_numpy(model(given)))


@pytest.mark.parametrize("encoding", ["path", "frames"])
def test_a_line_is_seen_whole_by_default(encoding: str) -> None:
    np.testing.assert_array_equal(_observe(Observation(), encoding), FRAMES)


@pytest.mark.parametrize("encoding", ["path", "frames"])
def test_a_dot_is_the_newest_pixel(encoding: str) -> None:
    dots = _observe(Observation(line="dot"), encoding)
    assert dots.dtype == np.uint8
    np.testing.assert_array_equal(dots.sum((2, 3, 4)), np.ones((400, SIZE)))
    np.testing.assert_array_equal(np.cumsum(dots, axis=1), FRAMES)


@pytest.mark.parametrize("length", [1, 5, SIZE])
def test_a_window_is_some_consecutive_frames_each_start_equally_likely(length: int) -> None:
    windows = _observe(Observation(window=length, seed=3))
    assert windows.shape == (400, length, SIZE, SIZE, 1)
    starts = windows[:, 0].sum((1, 2, 3)).astype(int) - 1  # At time t a line has t + 1 pixels.
    for window, frames, start in zip(windows, FRAMES, starts, strict=True):
        np.testing.assert_array_equal(window, frames[start : start + length])
    choices = SIZE - length + 1
    counts = np.bincount(starts, minlength=choices)
    assert len(counts) == choices
    # Five standard deviations of a binomial distribution.
    assert np.abs(counts - 400 / choices).max() <= 5 * np.sqrt(400 / choices)


def test_noise_replaces_a_share_of_the_pixels_by_salt_and_pepper() -> None:
    noisy = _observe(Observation(noise=0.1, seed=5))
    assert set(np.unique(noisy)) == {0, 1}
    blank, drawn = noisy[FRAMES == 0], noisy[FRAMES == 1]
    for share, count in ((blank.mean(), blank.size), (1 - drawn.mean(), drawn.size)):
        assert share == pytest.approx(0.05, abs=5 * np.sqrt(0.05 / count))
    # No two sequences, frames or pixels share their noise.
    changed = (noisy != FRAMES).reshape(400, -1)
    assert len({row.tobytes() for row in changed}) == 400
    assert changed.mean(0).max() < 0.13


def test_window_and_noise_are_a_function_of_seed_and_number() -> None:
    observation = Observation(line="dot", window=4, noise=0.2, seed=9)
    whole = _observe(observation)
    np.testing.assert_array_equal(_observe(observation, count=7), whole[:7])
    np.testing.assert_array_equal(_observe(observation, "frames"), whole)
    other = _observe(Observation(line="dot", window=4, noise=0.2, seed=10))
    assert (other != whole).mean() > 0.05


def test_a_classifier_sees_what_is_observed() -> None:
    classifier = build_classifier(SIZE)
    observation = Observation(line="dot", window=4, noise=0.2)
    model = with_sequence_inputs(classifier, SIZE, "path", observation)
    features: dict[str, np.ndarray] = {
        "path": PATHS[:9],
        "label": LABELS[:9].astype(np.uint8),
        "number": NUMBERS[:9],
    }
    np.testing.assert_allclose(model(features), classifier(_observe(observation, count=9)), atol=1e-6)


def test_flips_turn_over_a_share_of_the_pixels_on_top_of_the_rest() -> None:
    seen = _observe(Observation(line="dot", window=6, seed=2))
    flipped = _observe(Observation(line="dot", window=6, seed=2, flips=0.1, flip_seed=5))
    assert set(np.unique(flipped)) == {0, 1}
    changed = flipped != seen
    for value in (0, 1):
        share, count = changed[seen == value].mean(), (seen == value).sum()
        assert share == pytest.approx(0.1, abs=5 * np.sqrt(0.09 / count))
    assert len({row.tobytes() for row in changed.reshape(400, -1)}) == 400
    # Which ones is a function of the flips' own seed and the sequence's number.
    again = _observe(Observation(line="dot", window=6, seed=2, flips=0.1, flip_seed=5), "frames", 7)
    np.testing.assert_array_equal(again, flipped[:7])
    other = _observe(Observation(line="dot", window=6, seed=2, flips=0.1, flip_seed=6))
    assert (other != flipped).mean() > 0.1


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_and_all_pixels_flipped(rate: float) -> None:
    flipped = _observe(Observation(flips=rate), count=20)
    assert (
        ((flipped != FRAMES[:20]).mean() == rate) if rate == 0 else ((flipped != FRAMES[:20]).mean() > 0.9999)
    )
