"""Shards of paths read in blocks: what TFRecordDataset reads, in its order, and nothing that is damaged."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.moving_line.lines import sample_sequences
from pipeline.moving_line.path_records import path_records
from trainer.moving_line.path_blocks import BLOCK_RECORDS, path_blocks
from trainer.moving_line.records import PathRows

# What the callers turn into a line; see `trainer.input.name_damaged_records.damage_named`.
DAMAGE = (tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError, tf.errors.NotFoundError)


def _shard(path: Path, image_size: int, first: int, count: int) -> Path:
    path.write_bytes(path_records(image_size).encode(*sample_sequences(3, "train", image_size, first, count)))
    return path


def _blocks(paths: list[Path], counts: list[int], image_size: int, passed: int = 0) -> tf.data.Dataset:
    return path_blocks(
        tf.constant([str(path) for path in paths], tf.string),
        tf.constant(counts, tf.int64),
        tf.constant(passed, tf.int64),
        image_size,
    )


def _read(paths: list[Path], counts: list[int], image_size: int, passed: int = 0) -> np.ndarray:
    rows = list(_blocks(paths, counts, image_size, passed).as_numpy_iterator())
    assert all(0 < len(each) <= BLOCK_RECORDS for each in rows)
    return np.concatenate([np.empty((0, image_size + 1), np.uint8), *rows])


def _by_tensorflow(paths: list[Path], image_size: int) -> np.ndarray:
    schema = {"path": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    records = list(tf.data.TFRecordDataset([str(path) for path in paths]).as_numpy_iterator())
    parsed = tf.io.parse_example(records, schema)
    rows = tf.io.decode_raw(parsed["path"], tf.uint8).numpy()
    assert rows.shape == (len(records), image_size)
    return np.concatenate([rows, parsed["label"].numpy().astype(np.uint8)[:, None]], axis=1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[int]]:
    """Sizes around those of blocks."""
    directory = tmp_path_factory.mktemp("shards")
    k = BLOCK_RECORDS
    counts = [k + 1, 1, k, k - 1, 2 * k, 5, 2 * k + 7]
    firsts = np.cumsum([0, *counts])
    paths = [_shard(directory / str(n), 10, int(firsts[n]), count) for n, count in enumerate(counts)]
    return paths, counts


def test_rows_are_those_of_tensorflow_in_their_order(shards: tuple[list[Path], list[int]]) -> None:
    paths, counts = shards
    expected = _by_tensorflow(paths, 10)
    np.testing.assert_array_equal(_read(paths, counts, 10), expected)
    np.testing.assert_array_equal(
        expected[:, :-1], sample_sequences(3, "train", 10, 0, sum(counts))[0], strict=True
    )


@pytest.mark.parametrize("shard", range(7))
def test_any_number_is_passed_over(shards: tuple[list[Path], list[int]], shard: int) -> None:
    paths, counts = shards[0][shard:], shards[1][shard:]
    expected = _by_tensorflow(paths, 10)
    k = BLOCK_RECORDS
    for passed in {0, 1, 2, k - 1, k, k + 1, 2 * k, counts[0] // 2, counts[0] - 1} & set(range(counts[0])):
        np.testing.assert_array_equal(_read(paths, counts, 10, passed), expected[passed:])


@pytest.mark.parametrize("size", [100, BLOCK_RECORDS - 1, BLOCK_RECORDS, 3 * BLOCK_RECORDS, 100_000])
@pytest.mark.parametrize("passed", [0, 3])
def test_chunks_have_the_size_asked_for(shards: tuple[list[Path], list[int]], size: int, passed: int) -> None:
    """However shards and blocks lie; the last chunk is what is left."""
    paths, counts = shards
    chunks = PathRows(10).chunks(
        tf.constant([str(path) for path in paths]),
        tf.constant(counts, tf.int64),
        tf.constant(passed, tf.int64),
        size,
    )
    expected = _by_tensorflow(paths, 10)[passed:]
    for number, chunk in enumerate(chunks.as_numpy_iterator()):
        np.testing.assert_array_equal(chunk, expected[number * size : (number + 1) * size])
    assert number == (len(expected) - 1) // size


def test_no_shards_are_no_rows() -> None:
    assert len(_read([], [], 10)) == 0


@pytest.mark.parametrize("image_size", [2, 3, 4, 5, 7, 128, 254])
def test_every_image_size_is_read(tmp_path: Path, image_size: int) -> None:
    path = _shard(tmp_path / "shard", image_size, 0, 40)
    np.testing.assert_array_equal(_read([path], [40], image_size), _by_tensorflow([path], image_size))


@pytest.mark.parametrize(
    "image_size",
    [
        pytest.param(3, marks=pytest.mark.slow),
        *(pytest.param(size, marks=pytest.mark.storm) for size in (6, 8)),
    ],
)
def test_every_changed_byte_is_noticed(tmp_path: Path, image_size: int) -> None:
    whole = _shard(tmp_path / "shard", image_size, 0, 3).read_bytes()
    size = path_records(image_size).record_bytes
    path = tmp_path / "damaged"
    blocks = _blocks([path], [3], image_size)  # Every iteration reads the file anew.
    path.write_bytes(whole)
    assert len(list(blocks)) == 1
    for place in range(size, 2 * size):
        # A lowest bit, which may leave a path possible, and a highest.
        for bit in (1, 0x80):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with pytest.raises(DAMAGE):
                list(blocks)


def test_rows_that_share_an_entry_with_others_are_noticed(tmp_path: Path) -> None:
    """The number of four rows in the table stays, by steps that no path takes."""
    layout = path_records(8)
    paths, labels = sample_sequences(3, "train", 8, 0, 50)
    content = layout.encode(paths, labels)
    (number,) = np.flatnonzero((paths[:, 0] > 0) & (paths[:, 1] < 5))[:1]
    changed = bytearray(content)
    place = number * layout.record_bytes + layout.path.start
    changed[place] -= 1
    changed[place + 1] += 3
    path = tmp_path / "shard"
    path.write_bytes(changed)
    with pytest.raises(DAMAGE):
        _read([path], [50], 8)


def test_a_label_of_no_class_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    layout = path_records(8)
    content = bytearray(layout.encode(*sample_sequences(3, "train", 8, 0, 2)))
    content[layout.label] = 2
    path.write_bytes(content)
    with pytest.raises(DAMAGE):
        _read([path], [2], 8)


@pytest.mark.parametrize("count", [3, BLOCK_RECORDS, BLOCK_RECORDS + 3, 2 * BLOCK_RECORDS])
@pytest.mark.parametrize("passed", [0, 2])
def test_files_of_other_sizes_are_refused(tmp_path: Path, count: int, passed: int) -> None:
    layout = path_records(8)
    content = _shard(tmp_path / "shard", 8, 0, 2 * count + BLOCK_RECORDS).read_bytes()
    path = tmp_path / "other"
    ends = [0, 1, count - 1, count + 1, count + BLOCK_RECORDS, max(0, count - BLOCK_RECORDS), 2 * count]
    for end in ends:
        path.write_bytes(content[: end * layout.record_bytes])
        with pytest.raises(DAMAGE):
            _read([path], [count], 8, passed)
    for extra in (-1, 1, layout.record_bytes // 2):
        path.write_bytes(content[: count * layout.record_bytes + extra])
        with pytest.raises(DAMAGE):
            _read([path], [count], 8, passed)
    path.unlink()
    with pytest.raises(tf.errors.NotFoundError):
        _read([path], [count], 8, passed)
