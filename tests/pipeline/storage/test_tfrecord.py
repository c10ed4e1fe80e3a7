import io
import struct
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.storage.tfrecord import CorruptRecordError, frame_record, read_records

PAYLOADS = [b"", b"a", bytes(range(256)), b"x" * 70_000]


def test_tensorflow_reads_what_is_framed(tmp_path: Path) -> None:
    file = tmp_path / "records"
    file.write_bytes(b"".join(map(frame_record, PAYLOADS)))
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(file))] == PAYLOADS


def test_bytes_are_those_of_tensorflow(tmp_path: Path) -> None:
    file = tmp_path / "records"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    assert file.read_bytes() == b"".join(map(frame_record, PAYLOADS))


def test_payloads_come_back() -> None:
    stream = io.BytesIO(b"".join(map(frame_record, PAYLOADS)))
    assert list(read_records(stream)) == PAYLOADS


@pytest.mark.parametrize("flipped", range(12 + 30 + 4))
def test_any_flipped_byte_is_found_and_named(flipped: int) -> None:
    records = bytearray(frame_record(b"first") + frame_record(b"y" * 30) + frame_record(b"last"))
    start = len(frame_record(b"first"))
    records[start + flipped] ^= 0x10
    reader = read_records(io.BytesIO(bytes(records)))
    assert next(reader) == b"first"
    with pytest.raises(CorruptRecordError) as caught:
        next(reader)
    assert (caught.value.record, caught.value.offset_bytes) == (1, start)


@pytest.mark.parametrize("kept", [1, 11, 12, 20, 45])
def test_a_file_that_is_cut_short_is_found(kept: int) -> None:
    record = frame_record(b"z" * 30)
    with pytest.raises(CorruptRecordError, match="the file ends inside"):
        list(read_records(io.BytesIO((record + record)[: len(record) + kept])))


def test_a_huge_length_with_a_right_checksum_does_not_allocate(tmp_path: Path) -> None:
    from pipeline.storage.tfrecord import masked_crc32c

    length = struct.pack("<Q", 2**40)
    header = length + struct.pack("<I", masked_crc32c(length))
    (tmp_path / "records").write_bytes(header + b"rest")
    with (
        (tmp_path / "records").open("rb") as stream,
        pytest.raises(CorruptRecordError, match="a length of 1099511627776 bytes"),
    ):
        list(read_records(stream))
