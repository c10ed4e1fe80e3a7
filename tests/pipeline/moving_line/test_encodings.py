import itertools
import zlib

import numpy as np
import pytest

from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import draw_frames, sample_sequences
from pipeline.storage.tf_example import encode_example
from pipeline.storage.tfrecord import frame_record, read_records


def _payloads(encoding: str, image_size: int, count: int) -> list[bytes]:
    import io

    paths, labels = sample_sequences(0, "train", image_size, 0, count)
    return list(read_records(io.BytesIO(ENCODINGS[encoding].encode(paths, labels))))


@pytest.mark.parametrize("image_size", [2, 3, 50, 128, 256])
def test_path_records_are_plain_examples(image_size: int) -> None:
    paths, labels = sample_sequences(0, "train", image_size, 0, 30)
    expected = [
        frame_record(encode_example({"path": path.tobytes(), "label": int(label)}))
        for path, label in zip(paths, labels, strict=True)
    ]
    assert ENCODINGS["path"].encode(paths, labels) == b"".join(expected)


@pytest.mark.parametrize("image_size", [2, 3, 50])
def test_frames_records_hold_the_compressed_frames(image_size: int) -> None:
    from pipeline.storage.tf_example import decode_example

    paths, labels = sample_sequences(0, "train", image_size, 0, 20)
    for payload, frames in zip(_payloads("frames", image_size, 20), draw_frames(paths, labels), strict=True):
        (content,) = decode_example(payload)["frames"]
        assert isinstance(content, bytes)
        assert zlib.decompress(content) == frames.tobytes()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("image_size", [2, 5, 50])
def test_records_decode_to_their_sequences(encoding: str, image_size: int) -> None:
    paths, labels = sample_sequences(0, "train", image_size, 0, 40)
    decoded = [
        ENCODINGS[encoding].decode_record(payload, image_size)
        for payload in _payloads(encoding, image_size, 40)
    ]
    np.testing.assert_array_equal([path for path, _ in decoded], paths)
    assert [label for _, label in decoded] == labels.tolist()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("image_size", [5, 20, 50])
def test_records_have_the_size_that_the_encoding_says(encoding: str, image_size: int) -> None:
    paths, labels = sample_sequences(0, "train", image_size, 0, 400)
    size = len(ENCODINGS[encoding].encode(paths, labels)) / 400
    exact = encoding != "frames"
    assert ENCODINGS[encoding].record_bytes(image_size) == pytest.approx(size, rel=0 if exact else 0.15)


def test_path_encoding_takes_at_most_100_bytes_a_sequence() -> None:
    paths, labels = sample_sequences(0, "train", 50, 0, 100)
    assert len(ENCODINGS["path"].encode(paths, labels)) <= 100 * 100


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_record_of_another_size_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        ENCODINGS[encoding].decode_record(_payloads(encoding, 5, 1)[0], 6)


@pytest.mark.parametrize(("encoding", "other"), itertools.permutations(ENCODINGS, 2))
def test_a_record_of_another_encoding_is_refused(encoding: str, other: str) -> None:
    with pytest.raises(ValueError, match="features"):
        ENCODINGS[encoding].decode_record(_payloads(other, 5, 1)[0], 5)


def test_a_feature_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="wrong kind"):
        ENCODINGS["path"].decode_record(encode_example({"path": 1, "label": 1}), 5)
