import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.moving_line.lines import sample_sequences
from tests.conftest import make_dataset
from trainer.input.batches import training_batches
from trainer.input.feeds import Part, num_validation_batches, training_part, validation_part
from trainer.input.split_files import SplitFiles, read_manifest, split_files
from trainer.training.input_clock import InputClock
from trainer.training.settings import TrainingSettings

SETTINGS = TrainingSettings(batch_size=24, feeds=4, window=5, noise=0.1, seed=2**32 - 1)


def _files(directory: Path, split: str = "train") -> SplitFiles:
    return split_files(str(directory), read_manifest(str(directory)), split)


def _taken(batches: tf.data.Dataset, count: int) -> list[Any]:
    return list(batches.take(count).as_numpy_iterator())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "first_step"),
    [
        (2, 9),
        *(
            pytest.param(*case, marks=pytest.mark.storm)
            for case in [(2, 0), (2, 60), (4, 0), (4, 9), (4, 60)]
        ),
    ],
)
def test_parts_make_up_the_batches_of_one_process(dataset_dir: Path, processes: int, first_step: int) -> None:
    files = _files(dataset_dir)
    whole = _taken(training_part(files, SETTINGS, 2, first_step, Part(0, 1)), 3)
    parts = [
        _taken(training_part(files, SETTINGS, 2, first_step, Part(index, processes)), 3)
        for index in range(processes)
    ]
    for (features, labels), *shares in zip(whole, *parts, strict=True):
        for name in features:
            joined = np.concatenate([share[0][name] for share in shares])
            np.testing.assert_array_equal(joined, features[name])
        np.testing.assert_array_equal(np.concatenate([share[1] for share in shares]), labels)


@pytest.mark.storm
def test_numbers_count_the_sequences_of_the_run(path_dataset_dir: Path) -> None:
    batches = _taken(training_part(_files(path_dataset_dir), SETTINGS, 2, 7, Part(0, 1)), 2)
    numbers = np.concatenate([features["number"] for features, _ in batches])
    assert numbers.dtype == np.uint32
    np.testing.assert_array_equal(numbers, np.arange(7 * 24, 9 * 24))
    plain = replace(SETTINGS, window=None, noise=0)
    ((features, _),) = _taken(training_part(_files(path_dataset_dir), plain, 2, 7, Part(0, 1)), 1)
    assert set(features) == {"path", "label"}


def test_feeds_read_their_own_shards(path_dataset_dir: Path) -> None:
    files = _files(path_dataset_dir)
    hands = [files.dealt(hand, 4) for hand in range(4)]
    assert sorted(path for hand in hands for path in hand.paths) == sorted(files.paths)
    assert sum(hand.num_sequences for hand in hands) == files.num_sequences


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
@pytest.mark.parametrize("batch_size", [7, 16, 128])
def test_validation_weighs_every_sequence_once(dataset_dir: Path, parts: int, batch_size: int) -> None:
    files = _files(dataset_dir, "validation")
    seen: list[np.ndarray] = []
    total = mean = 0.0
    for index in range(parts):
        part = Part(index, parts)
        count = num_validation_batches(files, batch_size, part)
        assert 70 <= count * parts * batch_size < 70 + parts * batch_size
        batches = validation_part(files, SETTINGS, batch_size, part)
        taken = list(batches.as_numpy_iterator())
        assert len(taken) == count
        for features, labels, weights in taken:
            assert len(labels) == len(weights) == len(features["number"]) == batch_size
            seen.append(features["number"][weights > 0])
            total += len(weights)
            mean += float((weights * labels[:, 0]).sum())
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(70))
    # Keras takes the mean over everything, padding too.
    assert mean / total == pytest.approx(sample_sequences(3, "validation", 8, 0, 70)[1].mean(), abs=1e-6)


def test_what_lies_before_a_step_is_not_read(tmp_path: Path) -> None:
    directory = make_dataset(tmp_path / "d")
    files = _files(directory)

    def batches(first_step: int) -> tf.data.Dataset:
        return training_batches(
            files, batch_size=10, seed=0, readers=1, first_step=first_step, shuffle_window=20
        )

    expected = _taken(batches(58), 2)
    rows = {row.tobytes() for features, _ in expected for row in features["path"]}
    for path, first in zip(files.paths, np.cumsum([0, *files.counts]), strict=False):
        stored = sample_sequences(3, "train", 8, int(first), 37)[0]
        if not rows & {row.tobytes() for row in stored}:
            Path(path).write_bytes(b"\xff" * Path(path).stat().st_size)
    for (features, _), (known, _) in zip(_taken(batches(58), 2), expected, strict=True):
        np.testing.assert_array_equal(features["path"], known["path"])
    with pytest.raises(tf.errors.OpError):
        _taken(batches(0), 2)


def test_the_clock_tells_waiting_from_working() -> None:
    def slow(value: tf.Tensor) -> tf.Tensor:
        def wait(number: np.ndarray) -> np.ndarray:
            time.sleep(0.05)
            return number

        return tf.ensure_shape(tf.numpy_function(wait, [value], tf.int64), [])

    for batches, work, least in (
        (tf.data.Dataset.range(6).map(slow), 0, 6 * 0.05),
        (tf.data.Dataset.range(6), 0.05, 0),
    ):
        clock, worked, start = InputClock(), 0.0, time.time()
        numbers = []
        for number in clock.timed(batches).as_numpy_iterator():
            numbers.append(number)
            begin = time.time()
            time.sleep(work)
            worked += time.time() - begin
        assert numbers == list(range(6))
        # All that is not work may be waiting: how long the machine takes for it is not known.
        assert least <= clock.seconds <= time.time() - start - worked
