import numpy as np
import pytest
from scipy import stats

from pipeline.moving_line.lines import (
    draw_frames,
    paths_from_frames,
    paths_from_words,
    random_words,
    sample_sequences,
    words_per_sequence,
)
from tests import oracle

SIZES = [2, 3, 5, 50, 256]
GOLDEN_PATHS = [[1, 2, 2, 3, 2], [3, 2, 1, 1, 2], [4, 3, 3, 2, 1]]
GOLDEN_LABELS = [0, 1, 1]
P_VALUE = 1e-6  # A right sampler fails a test once in a million runs; the seeds are fixed besides.


@pytest.mark.parametrize("image_size", SIZES)
def test_sampler_equals_oracle_bit_for_bit(image_size: int) -> None:
    words = random_words(7, "train", image_size, 1000, 64)
    paths, labels = paths_from_words(words, image_size)
    expected = [oracle.sequence_from_words(row.tolist(), image_size) for row in words]
    assert paths.tolist() == [path for path, _ in expected]
    assert labels.tolist() == [label for _, label in expected]
    assert paths.dtype == np.uint8
    assert labels.dtype == np.int64


@pytest.mark.parametrize("word", [0, 1, 2**31 - 1, 2**31, 1431655765, 1431655766, 2863311531, 2**32 - 1])
def test_sampler_equals_oracle_at_extreme_words(word: int) -> None:
    words = np.full((1, words_per_sequence(50)), word, np.uint32)
    paths, labels = paths_from_words(words, 50)
    path, label = oracle.sequence_from_words([word] * 51, 50)
    assert paths[0].tolist() == path
    assert labels[0] == label


@pytest.mark.parametrize("image_size", SIZES)
def test_frames_equal_oracle(image_size: int) -> None:
    paths, labels = sample_sequences(1, "train", image_size, 0, 2 if image_size == 256 else 12)
    frames = draw_frames(paths, labels)
    assert frames.shape == (len(paths), image_size, image_size, image_size, 1)
    assert frames.dtype == np.uint8
    for path, label, drawn in zip(paths, labels, frames, strict=True):
        np.testing.assert_array_equal(drawn, oracle.draw(path.tolist(), int(label)))


@pytest.mark.parametrize("image_size", SIZES)
def test_paths_come_back_from_frames(image_size: int) -> None:
    paths, labels = sample_sequences(1, "train", image_size, 0, 2 if image_size == 256 else 50)
    np.testing.assert_array_equal(paths_from_frames(draw_frames(paths, labels), labels), paths)


def test_line_grows_by_a_pixel_a_frame() -> None:
    paths, labels = sample_sequences(0, "train", 50, 0, 20)
    pixels = draw_frames(paths, labels).sum(axis=(2, 3, 4), dtype=int)
    np.testing.assert_array_equal(pixels, np.tile(np.arange(1, 51), (20, 1)))


@pytest.mark.parametrize("image_size", [5, 50])
def test_any_block_comes_without_those_before_it(image_size: int) -> None:
    paths, labels = sample_sequences(4, "test", image_size, 0, 1000)
    for first, count in [(0, 1), (1, 1), (17, 300), (999, 1)]:
        some_paths, some_labels = sample_sequences(4, "test", image_size, first, count)
        np.testing.assert_array_equal(some_paths, paths[first : first + count])
        np.testing.assert_array_equal(some_labels, labels[first : first + count])


def test_sequences_far_out_can_be_reached() -> None:
    paths, _ = sample_sequences(0, "train", 50, 10**15, 2)
    following, _ = sample_sequences(0, "train", 50, 10**15 + 1, 1)
    np.testing.assert_array_equal(paths[1], following[0])


def test_seed_split_and_size_each_give_other_sequences() -> None:
    def words(seed: int, split: str, size: int) -> bytes:
        return random_words(seed, split, size, 0, 10)[:, :3].tobytes()

    seen = {words(0, "train", 50), words(1, "train", 50), words(0, "test", 50), words(0, "train", 51)}
    assert len(seen) == 4


def test_the_first_sequences_of_seed_0_stay_what_they_are() -> None:
    # Written down once: a change here changes every data set that users have made.
    paths, labels = sample_sequences(0, "train", 5, 0, 3)
    assert paths.tolist() == GOLDEN_PATHS
    assert labels.tolist() == GOLDEN_LABELS


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    return sample_sequences(2024, "train", 50, 0, 100_000)


def _assert_uniform(counts: np.ndarray) -> None:
    assert stats.chisquare(counts).pvalue > P_VALUE


def test_directions_and_start_rows_are_uniform(many: tuple[np.ndarray, np.ndarray]) -> None:
    paths, labels = many
    _assert_uniform(np.bincount(labels, minlength=2))
    _assert_uniform(np.bincount(paths[:, 0], minlength=50))


def _steps(paths: np.ndarray, where: np.ndarray) -> np.ndarray:
    steps = np.diff(paths.astype(int), axis=1)[where]
    return np.bincount(steps + 1, minlength=3)


def test_steps_inside_are_uniform_over_three_rows(many: tuple[np.ndarray, np.ndarray]) -> None:
    before = many[0][:, :-1]
    _assert_uniform(_steps(many[0], (before > 0) & (before < 49)))


@pytest.mark.parametrize(("border", "impossible"), [(0, 0), (49, 2)])
def test_steps_at_a_border_are_uniform_over_two_rows(
    many: tuple[np.ndarray, np.ndarray], border: int, impossible: int
) -> None:
    counts = _steps(many[0], many[0][:, :-1] == border)
    assert counts[impossible] == 0
    possible = np.delete(counts, impossible)
    _assert_uniform(possible)
    # The bound is sharp: the same counts with 1 % moved from one choice to the other would not pass.
    moved = possible + np.array([1, -1]) * int(0.01 * possible.sum())
    assert stats.chisquare(moved).pvalue < P_VALUE


def test_choices_are_independent_of_the_label_and_of_each_other(
    many: tuple[np.ndarray, np.ndarray],
) -> None:
    paths, labels = many
    steps = np.diff(paths.astype(int), axis=1)
    table = np.array([np.bincount(steps[labels == label, 20] + 1, minlength=3) for label in (0, 1)])
    assert stats.chi2_contingency(table).pvalue > P_VALUE
    inner = (paths[:, 20] > 1) & (paths[:, 20] < 48)
    pairs = np.bincount((steps[inner, 20] + 1) * 3 + steps[inner, 21] + 1, minlength=9)
    _assert_uniform(pairs)
