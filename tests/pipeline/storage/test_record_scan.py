import io
import struct
import time

import pytest

from pipeline.storage.record_scan import Damage, Record, RecordScanner
from pipeline.storage.tfrecord import frame_record, masked_crc32c

PAYLOADS = [bytes([i]) * (20 + 7 * i) for i in range(9)]
RECORDS = [frame_record(payload) for payload in PAYLOADS]
OFFSETS = [sum(map(len, RECORDS[:i])) for i in range(10)]


def _scan(content: bytes, record_bytes: int | None = None) -> list[Record | Damage]:
    scanner = RecordScanner(io.BytesIO(content), record_bytes)
    return list(iter(scanner.next, None))


def _good(items: list[Record | Damage]) -> list[bytes]:
    return [item.payload for item in items if isinstance(item, Record)]


def _damaged(items: list[Record | Damage]) -> list[tuple[int, int]]:
    return [(item.record, item.offset_bytes) for item in items if isinstance(item, Damage)]


def test_whole_files_are_read_to_the_end() -> None:
    items = _scan(b"".join(RECORDS))
    assert _good(items) == PAYLOADS
    assert [(item.record, item.offset_bytes) for item in items] == list(enumerate(OFFSETS[:-1]))


@pytest.mark.parametrize("record", [0, 4, 8])
def test_a_flipped_byte_costs_its_record_only(record: int) -> None:
    for place in range(len(RECORDS[record])):
        content = bytearray(b"".join(RECORDS))
        content[OFFSETS[record] + place] ^= 0x41
        items = _scan(bytes(content))
        assert _damaged(items) == [(record, OFFSETS[record])], place
        assert _good(items) == PAYLOADS[:record] + PAYLOADS[record + 1 :], place


def test_a_lost_stretch_costs_what_it_touches() -> None:
    content = bytearray(b"".join(RECORDS))
    content[OFFSETS[2] + 30 : OFFSETS[5] + 3] = bytes(OFFSETS[5] + 3 - OFFSETS[2] - 30)
    items = _scan(bytes(content))
    assert _good(items) == PAYLOADS[:2] + PAYLOADS[6:]
    assert _damaged(items)[0] == (2, OFFSETS[2])


@pytest.mark.parametrize("changed", ["inserted", "removed"])
def test_moved_bytes_cost_their_record_only(changed: str) -> None:
    content = b"".join(RECORDS)
    place = OFFSETS[3] + 20
    moved = content[:place] + (b"more" + content[place:] if changed == "inserted" else content[place + 5 :])
    items = _scan(moved)
    assert _good(items) == PAYLOADS[:3] + PAYLOADS[4:]
    assert _damaged(items)[0] == (3, OFFSETS[3])


def test_numbers_go_on_behind_a_gap_where_all_records_have_one_size() -> None:
    records = [frame_record(bytes([i]) * 20) for i in range(10)]
    content = bytearray(b"".join(records))
    content[3 * 36 + 1 : 7 * 36 - 1] = bytes(4 * 36 - 2)
    items = _scan(bytes(content), record_bytes=36)
    assert [item.record for item in items if isinstance(item, Record)] == [0, 1, 2, 7, 8, 9]


@pytest.mark.parametrize("kept", [1, 11, 12, 20])
def test_a_file_that_is_cut_short_gives_what_is_whole(kept: int) -> None:
    items = _scan(b"".join(RECORDS)[: OFFSETS[8] + kept])
    assert _good(items) == PAYLOADS[:8]
    assert _damaged(items) == [(8, OFFSETS[8])]


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_files_without_a_record_end(size: int) -> None:
    items = _scan(bytes(size))
    assert _good(items) == []
    assert len(items) == (size > 0)


def test_an_absurd_length_with_a_right_checksum_is_passed_over() -> None:
    length = struct.pack("<Q", 2**40)
    false = length + struct.pack("<I", masked_crc32c(length)) + b"rest"
    items = _scan(false + b"".join(RECORDS))
    assert _good(items) == PAYLOADS
    assert _damaged(items) == [(0, 0)]


def test_large_records_are_read_across_the_window() -> None:
    payloads = [b"a" * 3_000_000, b"b" * 10, b"c" * 2_000_000]
    content = bytearray(b"".join(map(frame_record, payloads)))
    content[100] ^= 1
    assert _good(_scan(bytes(content))) == payloads[1:]


@pytest.mark.parametrize("pattern", [b"\0", b"\0\0\0\0\0\0\0\1", b"\xff", b"any text"])
def test_damage_of_any_kind_is_passed_at_the_speed_of_reading(pattern: bytes) -> None:
    # 32 MiB take less than a second; looked at one place after the other, such zeros took eighty.
    content = RECORDS[0] + pattern * (2**25 // len(pattern)) + RECORDS[1]
    start = time.process_time()
    items = _scan(content)
    assert time.process_time() - start < 25
    assert _good(items) == PAYLOADS[:2]
    assert _damaged(items) == [(1, OFFSETS[1])]
