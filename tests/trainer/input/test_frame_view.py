"""Which frames are chosen, and how they are changed."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.input.frame_view import FrameView

LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 40)


def _chosen(view: FrameView, length: int, number: int = 0) -> tuple[list[int], int]:
    indices, real = view.choose(tf.constant(length), tf.constant(number, tf.int64))
    return indices.numpy().tolist(), int(real)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("is_random", [False, True])
def test_a_window_is_consecutive_and_inside_the_clip(length: int, step: int, is_random: bool) -> None:
    view = FrameView(8, frame_step=step, is_random=is_random, seed=3)
    for number in range(20):
        indices, real = _chosen(view, length, number)
        assert real == min(8, -(-length // step))
        assert indices[:real] == list(range(indices[0], indices[0] + real * step, step))
        assert 0 <= indices[0] <= indices[real - 1] < length
        assert indices[real:] == [indices[real - 1]] * (8 - real)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("is_random", [False, True])
def test_segments_take_one_frame_of_every_equal_part(length: int, is_random: bool) -> None:
    view = FrameView(8, "segments", is_random=is_random, seed=3)
    for number in range(20):
        indices, real = _chosen(view, length, number)
        assert real == min(8, length)
        for part, index in enumerate(indices[:real]):
            assert part * length // real <= index < (part + 1) * length // real


def test_a_random_window_begins_everywhere_alike_and_hangs_on_seed_and_number_only() -> None:
    view = FrameView(8, is_random=True, seed=3)
    first = [_chosen(view, 11, number)[0][0] for number in range(400)]
    counts = np.bincount(first, minlength=4)
    assert len(counts) == 4
    assert (abs(counts - 100) < 35).all()
    assert first == [_chosen(view, 11, number)[0][0] for number in range(400)]
    other = FrameView(8, is_random=True, seed=4)
    assert first != [_chosen(other, 11, number)[0][0] for number in range(400)]


def test_the_middle_and_views_that_are_spread_over_the_clip() -> None:
    view = FrameView(4, is_random=True, seed=1)
    assert _chosen(view.judged(), 11)[0][0] == 3
    assert [_chosen(view.judged(number, 3), 11)[0][0] for number in range(3)] == [0, 3, 7]
    segments = FrameView(2, "segments")
    assert _chosen(segments.judged(), 12)[0] == [3, 9]
    assert [_chosen(segments.judged(number, 3), 12)[0] for number in range(3)] == [[1, 7], [3, 9], [5, 11]]


def test_one_frame_is_shown_all_the_time() -> None:
    assert _chosen(FrameView(5, is_single=True), 11) == ([5] * 5, 5)
    assert _chosen(FrameView(5, is_single=True), 3) == ([1] * 5, 3)


FRAMES = np.random.default_rng(0).integers(0, 256, (4, 6, 10, 3), np.uint8)


def _changed(view: FrameView, number: int = 0) -> np.ndarray:
    found: np.ndarray = view.change(tf.constant(FRAMES), tf.constant(number, tf.int64)).numpy()
    return found


def test_a_crop_lies_anywhere_in_training_and_in_the_middle_in_judging() -> None:
    view = FrameView(4, crop=(4, 5), is_random=True, seed=2)
    assert view.shown_shape((6, 10, 3)) == (4, 5, 3)
    places = set()
    for number in range(200):
        found = _changed(view, number)
        (place,) = [
            (top, left)
            for top in range(3)
            for left in range(6)
            if (FRAMES[:, top : top + 4, left : left + 5] == found).all()
        ]
        places.add(place)
    assert len(places) == 18
    np.testing.assert_array_equal(_changed(view.judged()), FRAMES[:, 1:5, 2:7])
    spread = [_changed(view.judged(number, 1, 3)) for number in range(3)]
    for left, found in zip((0, 2, 5), spread, strict=True):
        np.testing.assert_array_equal(found, FRAMES[:, 1:5, left : left + 5])


def test_half_of_the_clips_are_mirrored_all_frames_alike() -> None:
    view = FrameView(4, is_random=True, flip=True, seed=2)
    flipped = 0
    for number in range(200):
        found = _changed(view, number)
        is_flipped = (found == FRAMES[:, :, ::-1]).all()
        assert is_flipped or (found == FRAMES).all()
        flipped += int(is_flipped)
    assert 70 < flipped < 130
    np.testing.assert_array_equal(_changed(view.judged()), FRAMES)


def test_brightness_and_contrast_are_the_same_for_all_frames_of_a_clip() -> None:
    bright = FrameView(4, is_random=True, brightness=0.1, seed=2)
    inside = (FRAMES > 30) & (FRAMES < 225)
    added = []
    for number in range(60):
        changes = (_changed(bright, number).astype(int) - FRAMES)[inside]
        assert changes.min() == changes.max()
        added.append(changes[0])
    assert -26 <= min(added) < -15
    assert 15 < max(added) <= 26
    contrast = FrameView(4, is_random=True, contrast=0.5, seed=2)
    factors = []
    for number in range(60):
        values, mean = _changed(contrast, number).astype(float), FRAMES.mean((1, 2, 3), keepdims=True)
        unclipped = (values > 0) & (values < 255) & (abs(FRAMES - mean) > 30)
        ratios = ((values - mean) / (FRAMES - mean))[unclipped]
        assert np.ptp(ratios) < 0.05
        factors.append(float(np.median(ratios)))
    assert 0.48 < min(factors) < 0.6
    assert 1.4 < max(factors) < 1.52
    np.testing.assert_array_equal(_changed(contrast.judged()), FRAMES)
