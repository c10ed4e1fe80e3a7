"""All that can be read of a TFRecord file, damaged or not.

A strict reader stops at the first damaged record. This one goes on at the next place where a record
begins: behind a damaged payload, whose length is still known, or else at the next header whose own checksum
holds. A false header would need a 32-bit checksum to match by chance, and its payload's too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.tfrecord import FOOTER_BYTES, HEADER_BYTES, MAX_PAYLOAD_BYTES, masked_crc32c

_READ_BYTES = 2**20


@dataclass(frozen=True)
class Record:
    """A record whose checksums hold.

    Attributes:
        record: its number in the file, from 0.
        offset_bytes: where it starts in the file.
        payload: its content.
    """

    record: int
    offset_bytes: int
    payload: bytes


@dataclass(frozen=True)
class Damage:
    """Bytes that are no record.

    Attributes:
        record: number of the first record that is lost here, from 0.
        offset_bytes: where the damage starts in the file.
        reason: what is wrong.
    """

    record: int
    offset_bytes: int
    reason: str


def scan_records(
    stream: BinaryIO, record_bytes: int | None = None, *, first_record: int = 0, offset_bytes: int = 0
) -> Iterator[Record | Damage]:
    """Yield every whole record of a file, and every stretch of damage, in order.

    Args:
        stream: the file, at the start of a record.
        record_bytes: the size of a record, framing included, where all are of one size. Then the records
            after a stretch of damage keep their numbers; otherwise a stretch counts as one record.
        first_record, offset_bytes: number and place of the record where the stream stands.
    """
    window, record = _Window(stream, offset_bytes), first_record
    while header := window.peek(HEADER_BYTES):
        offset = window.offset_bytes
        reason = _header_damage(header)
        size = 0
        if reason is None:
            (size,) = struct.unpack("<Q", header[:8])
            body = window.peek(HEADER_BYTES + size + FOOTER_BYTES)[HEADER_BYTES:]
            if len(body) < size + FOOTER_BYTES:
                reason = "the file ends inside the record"
            elif struct.unpack("<I", body[size:])[0] != masked_crc32c(body[:size]):
                reason = "the payload's checksum does not match"
            else:
                yield Record(record, offset, body[:size])
                window.skip(HEADER_BYTES + size + FOOTER_BYTES)
                record += 1
                continue
        yield Damage(record, offset, reason)
        whole = HEADER_BYTES + size + FOOTER_BYTES
        if size and _begins_record_or_ends(window.peek(whole + HEADER_BYTES)[whole:]):
            window.skip(whole)
        else:
            _resynchronise(window)
        lost = 1 if record_bytes is None else max(1, round((window.offset_bytes - offset) / record_bytes))
        record += lost


class _Window:
    """A stream with a view ahead."""

    def __init__(self, stream: BinaryIO, offset_bytes: int) -> None:
        self._stream = stream
        self._ahead = b""
        self._start = 0
        self.offset_bytes = offset_bytes

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        while len(self._ahead) - self._start < count:
            # An absurd length must not ask for that much memory at once: the file may end before.
            more = self._stream.read(max(_READ_BYTES, min(count, 64 * _READ_BYTES)))
            if not more:
                break
            self._ahead = self._ahead[self._start :] + more
            self._start = 0
        return self._ahead[self._start : self._start + count]

    def skip(self, count: int) -> None:
        """Pass over bytes that were seen."""
        self._start += count
        self.offset_bytes += count


def _header_damage(header: bytes) -> str | None:
    if len(header) < HEADER_BYTES:
        return "the file ends inside the record's header"
    if struct.unpack("<I", header[8:])[0] != masked_crc32c(header[:8]):
        return "the length's checksum does not match"
    if (size := struct.unpack("<Q", header[:8])[0]) > MAX_PAYLOAD_BYTES:
        return f"a length of {size} bytes"
    return None


def _begins_record_or_ends(header: bytes) -> bool:
    return not header or _header_damage(header) is None


def _resynchronise(window: _Window) -> None:
    """Move on to the next header, or to the end of the file."""
    window.skip(1)
    while len(ahead := window.peek(_READ_BYTES)) >= HEADER_BYTES:
        # Lengths are below 2**32: the upper half of their eight bytes is zero, which is quick to find.
        zeros = ahead.find(b"\0\0\0\0", 4)
        while 4 <= zeros <= len(ahead) - HEADER_BYTES + 4:
            start = zeros - 4
            if _header_damage(ahead[start : start + HEADER_BYTES]) is None:
                window.skip(start)
                return
            zeros = ahead.find(b"\0\0\0\0", zeros + 1)
        window.skip(len(ahead) - HEADER_BYTES + 1)
    window.skip(len(ahead))
