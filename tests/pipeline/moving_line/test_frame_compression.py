from __future__ import annotations

import hashlib
import itertools
import zlib

import numpy as np
import pytest

from pipeline.moving_line.frame_compression import compress_frames
from pipeline.moving_line.lines import LEFT, RIGHT, Int64Array, Uint8Array, draw_frames, sample_sequences

# Written down once: a change here changes the bytes of every data set of frames that users have made.
GOLDEN_DIGEST = "da8820fb0cd413c23a41865ac8638344b609ed6b34f2411941e26f02a797d07f"


def _assert_streams_hold_frames(paths: Uint8Array, labels: Int64Array) -> None:
    streams = compress_frames(paths, labels)
    assert len(streams) == len(paths)
    for i, stream in enumerate(streams):
        reader = zlib.decompressobj()
        content = reader.decompress(stream)
        assert content == draw_frames(paths[i : i + 1], labels[i : i + 1]).tobytes(), (paths[i], labels[i])
        assert reader.eof
        assert not reader.unused_data


@pytest.mark.parametrize("image_size", [*range(2, 25), 50, 64, 128, 181, 182])
def test_streams_hold_the_frames_of_sampled_sequences(image_size: int) -> None:
    count = 300 if image_size < 25 else 100 if image_size < 100 else 3
    _assert_streams_hold_frames(*sample_sequences(5, "train", image_size, 0, count))


def _extreme_paths(image_size: int) -> Uint8Array:
    time = np.arange(image_size)
    last = image_size - 1
    rows = [
        np.zeros(image_size),
        np.full(image_size, last),
        time,
        last - time,
        time % 2,
        last - time % 2,
        np.abs(last // 2 - time),
        last - np.abs(last // 2 - time),
    ]
    return np.stack(rows).astype(np.uint8)


@pytest.mark.parametrize("label", [LEFT, RIGHT])
@pytest.mark.parametrize("image_size", [*range(4, 40), 50, 90, 181])
def test_streams_hold_the_frames_of_extreme_sequences(image_size: int, label: int) -> None:
    paths = _extreme_paths(image_size)
    _assert_streams_hold_frames(paths, np.full(len(paths), label))


@pytest.mark.parametrize("image_size", [2, 3, 4, 5])
def test_streams_hold_the_frames_of_every_sequence(image_size: int) -> None:
    steps = itertools.product(range(image_size), *[(-1, 0, 1)] * (image_size - 1))
    paths = np.array(list(steps)).cumsum(axis=1)
    paths = paths[((paths >= 0) & (paths < image_size)).all(axis=1)].astype(np.uint8)
    for label in (LEFT, RIGHT):
        _assert_streams_hold_frames(paths, np.full(len(paths), label))


@pytest.mark.parametrize("image_size", [3, 20, 50])
def test_a_stream_does_not_depend_on_its_batch(image_size: int) -> None:
    paths, labels = sample_sequences(1, "train", image_size, 0, 1000)
    together = compress_frames(paths, labels)
    for first, last in [(0, 0), (0, 1), (1, 18), (400, 1000)]:
        assert compress_frames(paths[first:last], labels[first:last]) == together[first:last]


def test_streams_of_seed_0_stay_what_they_are() -> None:
    streams = compress_frames(*sample_sequences(0, "train", 50, 0, 20))
    assert hashlib.sha256(b"".join(streams)).hexdigest() == GOLDEN_DIGEST


def test_a_stream_takes_at_most_400_bytes_on_average() -> None:
    streams = compress_frames(*sample_sequences(0, "train", 50, 0, 2000))
    assert sum(map(len, streams)) <= 400 * len(streams)


@pytest.mark.parametrize("image_size", [4, 50])
def test_tensorflow_decompresses_the_streams(image_size: int) -> None:
    import tensorflow as tf

    paths, labels = sample_sequences(2, "train", image_size, 0, 50)
    contents = tf.io.decode_compressed(compress_frames(paths, labels), "ZLIB").numpy()
    assert contents.tolist() == [frames.tobytes() for frames in draw_frames(paths, labels)]
