"""Behind damage of any size the records that are whole are recognised, and keep their numbers."""

import io

import pytest

from pipeline.dataset.splits import ShardEntry
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import sample_sequences
from pipeline.storage.tfrecord import frame_record
from pipeline.verification.damage import Classified, classify_records
from pipeline.verification.expected import DefinedRecords

COUNT = 4000


def _shard(encoding: str, image_size: int) -> list[bytes]:
    paths, labels = sample_sequences(0, "train", image_size, 0, COUNT)
    encode = ENCODINGS[encoding].encode
    return [encode(paths[i : i + 1], labels[i : i + 1]) for i in range(COUNT)]


def _classify(encoding: str, image_size: int, records: list[bytes], content: bytes) -> list[Classified]:
    settings = MovingLine(0, image_size, encoding, COUNT, 1, 1, COUNT)
    entry = ShardEntry("shard", 0, COUNT, sum(map(len, records)), "")
    listed = settings.shards()[0], entry
    expected = DefinedRecords(settings, listed[0])
    return list(classify_records(io.BytesIO(content), listed, settings, expected))


def _numbers(items: list[Classified]) -> list[int]:
    return [
        number
        for item in items
        if item.reason is None
        for number in range(item.record, item.record + item.num_records)
    ]


@pytest.mark.parametrize(("encoding", "image_size"), [("path", 50), ("path", 5), ("frames", 10)])
def test_records_behind_a_large_hole_keep_their_numbers(encoding: str, image_size: int) -> None:
    records = _shard(encoding, image_size)
    before, hole, behind = b"".join(records[:1000]), b"".join(records[1000:2800]), b"".join(records[2800:])
    items = _classify(encoding, image_size, records, before + bytes(len(hole)) + behind)
    assert _numbers(items) == [*range(1000), *range(2800, COUNT)]


def test_records_behind_much_that_was_inserted_keep_their_numbers() -> None:
    records = _shard("path", 50)
    junk = frame_record(b"junk" * 20) * 3000
    items = _classify("path", 50, records, b"".join(records[:1000]) + junk + b"".join(records[1000:]))
    assert _numbers(items) == list(range(COUNT))


@pytest.mark.parametrize("image_size", [2, 3])
def test_small_images_are_not_mistaken_for_good(image_size: int) -> None:
    records = _shard("frames", image_size)
    content = bytearray(b"".join(records))
    content[40_000:44_096] = bytes(4096)
    items = _classify("frames", image_size, records, bytes(content))
    touched = 4096 / (len(content) / COUNT) + 2
    assert len(_numbers(items)) >= COUNT - touched - 32
    assert _numbers(items)[-1000:] == list(range(COUNT - 1000, COUNT))
