from io import BytesIO

import numpy as np
import pytest

from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.moving_line.path_records import path_records
from pipeline.storage.tf_example import encode_example
from pipeline.storage.tfrecord import frame_record, read_records


def _block(image_size: int, count: int = 30) -> bytes:
    return path_records(image_size).encode(*sample_sequences(0, "train", image_size, 0, count))


def _decode(image_size: int, block: bytes) -> tuple[Uint8Array, Int64Array]:
    """Record by record."""
    decoded = [
        ENCODINGS["path"].decode_record(payload, image_size) for payload in read_records(BytesIO(block))
    ]
    return np.array([path for path, _ in decoded]), np.array([label for _, label in decoded])


@pytest.mark.parametrize("image_size", [2, 3, 50, 128, 255, 256])
def test_blocks_decode_to_their_sequences(image_size: int) -> None:
    paths, labels = _decode(image_size, _block(image_size))
    expected_paths, expected_labels = sample_sequences(0, "train", image_size, 0, 30)
    np.testing.assert_array_equal(paths, expected_paths)
    np.testing.assert_array_equal(labels, expected_labels)


def test_every_flipped_bit_is_found() -> None:
    block = _block(9, 3)
    for bit in range(8 * len(block)):
        damaged = bytearray(block)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"label|row|step|record"):
            _decode(9, bytes(damaged))


@pytest.mark.parametrize(
    ("path", "label", "named"),
    [
        ([0, 0, 2, 2, 2], 0, r"a step of \+2 rows at timestep 2"),
        ([4, 4, 4, 3, 1], 0, "a step of -2 rows at timestep 4"),
        ([4, 5, 4, 4, 4], 0, "row 5, expected 0 to 4"),
        ([0, 1, 2, 3, 4], 2, "label 2, expected 0 or 1"),
    ],
)
def test_sequences_that_cannot_be_are_named(path: list[int], label: int, named: str) -> None:
    record = frame_record(encode_example({"path": bytes(path), "label": label}))
    assert len(record) == path_records(5).record_bytes
    with pytest.raises(ValueError, match=named):
        _decode(5, record)


@pytest.mark.parametrize("rows", [(255, 0), (0, 255)])
def test_a_step_around_the_byte_is_found(rows: tuple[int, int]) -> None:
    path = bytes([rows[0]] * 128 + [rows[1]] * 128)
    record = frame_record(encode_example({"path": path, "label": 1}))
    with pytest.raises(ValueError, match="at timestep 128"):
        _decode(256, record)
