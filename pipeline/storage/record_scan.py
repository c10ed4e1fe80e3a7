"""Reads all undamaged records of a damaged TFRecord file.

`pipeline.storage.tfrecord.read_records` stops at the first damaged record. This scanner goes on at the next
record: after a damaged payload if its length is intact, else at the next header whose checksum matches. Bytes
that are no header pass only if two 32-bit checksums, of header and payload, match by chance.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.storage.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    crc32c,
    mask_crc32c,
    masked_crc32c,
)

_READ_BYTES = 2**20
# Offsets tested at once: arrays of this length stay in the processor's cache.
_OFFSETS_AT_ONCE = 2**14


@dataclass(frozen=True)
class Record:
    """A record whose checksums match.

    Attributes:
        record: number of the record in the file, from 0.
        offset_bytes: offset of the record in the file.
        payload: content of the record.
    """

    record: int
    offset_bytes: int
    payload: bytes


@dataclass(frozen=True)
class Damage:
    """A stretch of bytes without a valid record.

    Attributes:
        record: number of the first record lost, from 0.
        offset_bytes: offset of the damage in the file.
        reason: what is wrong with the first record lost.
    """

    record: int
    offset_bytes: int
    reason: str


class RecordScanner:
    """Yields the records of a file and the stretches of damage between them, in order.

    Args:
        stream: the file, positioned at the start of a record.
        record_bytes: mean size of a record, framing included. A stretch of damage counts as its length
            divided by this, rounded, at least 1 record; if None, as 1 record.
        first_record: number of the record at the stream's position.
        offset_bytes: offset of that record in the file.

    Attributes:
        record: number of the next record. A caller that can tell the number after damage may set it.
    """

    def __init__(
        self,
        stream: BinaryIO,
        record_bytes: float | None = None,
        first_record: int = 0,
        offset_bytes: int = 0,
    ) -> None:
        self._window = _Window(stream, offset_bytes)
        self._record_bytes = record_bytes
        self.record = first_record

    @property
    def offset_bytes(self) -> int:
        """Offset of the next record in the file."""
        return self._window.offset_bytes

    def peek(self, num_bytes: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        return self._window.peek(num_bytes)

    def skip_records(self, num_records: int, num_bytes: int) -> None:
        """Skip records that the caller has read by `peek`."""
        self._window.skip(num_bytes)
        self.record += num_records

    def next(self) -> Record | Damage | None:
        """The next whole record, or the next stretch of damage; None at the end of the file."""
        window = self._window
        if not (header := window.peek(HEADER_BYTES)):
            return None
        record, offset = self.record, window.offset_bytes
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
                self.skip_records(1, HEADER_BYTES + size + FOOTER_BYTES)
                return Record(record, offset, body[:size])
        whole = HEADER_BYTES + size + FOOTER_BYTES
        if size and _begins_record_or_ends(window.peek(whole + HEADER_BYTES)[whole:]):
            window.skip(whole)
        else:
            _resynchronise(window)
        passed = window.offset_bytes - offset
        self.record += 1 if self._record_bytes is None else max(1, round(passed / self._record_bytes))
        return Damage(record, offset, reason)


class _Window:
    """A stream whose next bytes can be read without moving on."""

    def __init__(self, stream: BinaryIO, offset_bytes: int) -> None:
        self._stream = stream
        self._ahead = b""
        self._start = 0
        self.offset_bytes = offset_bytes

    def peek(self, count: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        while len(self._ahead) - self._start < count:
            # Read in parts: a damaged length may be far larger than the rest of the file.
            more = self._stream.read(max(_READ_BYTES, min(count, 64 * _READ_BYTES)))
            if not more:
                break
            self._ahead = self._ahead[self._start :] + more
            self._start = 0
        return self._ahead[self._start : self._start + count]

    def skip(self, count: int) -> None:
        """Move on by ``count`` bytes that `peek` has returned."""
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
        if (start := _first_header(ahead)) is not None:
            window.skip(start)
            return
        window.skip(len(ahead) - HEADER_BYTES + 1)
    window.skip(len(ahead))


def _first_header(content: bytes) -> int | None:
    """Offset of the first header in at least `HEADER_BYTES` bytes; None if there is none.

    Tests many offsets at once as arrays, so that files of zeros or of repeated patterns stay fast.
    """
    for start in range(0, len(content) - HEADER_BYTES + 1, _OFFSETS_AT_ONCE):
        words = _words(content[start : start + _OFFSETS_AT_ONCE + HEADER_BYTES - 1])
        if not words.any():  # No header: the checksum of length 0 is not 0.
            continue
        count = len(words) - (HEADER_BYTES - 2)
        # A length is at most MAX_PAYLOAD_BYTES: its upper four bytes are zero, the two below are small.
        is_length = (words[4 : 4 + count] | words[6 : 6 + count]) == 0
        is_length &= words[2 : 2 + count] <= MAX_PAYLOAD_BYTES >> 16
        places = np.flatnonzero(is_length)
        if len(places) < count // 4:
            low, high, low_crc, high_crc = (words[places + offset] for offset in (0, 2, 8, 10))
        else:  # Testing all offsets is faster than selecting most of them.
            places = np.arange(count)
            low, high, low_crc, high_crc = (words[offset : offset + count] for offset in (0, 2, 8, 10))
        crc = _FIRST_WORD_CRCS.take(low) ^ _SECOND_WORD_CRCS.take(high)
        stored = low_crc | high_crc.astype(np.uint32) << np.uint32(16)
        for place in places[mask_crc32c(crc) == stored].tolist():
            if _header_damage(content[start + place : start + place + HEADER_BYTES]) is None:
                return start + int(place)
    return None


def _words(block: bytes) -> npt.NDArray[np.uint16]:
    """The two bytes at every offset as a little-endian number: uint16 (len(block) - 1,)."""
    words = np.empty(len(block) - 1, np.uint16)
    words[::2] = np.frombuffer(block, "<u2", len(block) // 2)
    words[1::2] = np.frombuffer(block, "<u2", (len(block) - 1) // 2, 1)
    return words


def _word_crcs(byte: int) -> npt.NDArray[np.uint32]:
    """Table of what bytes ``byte`` and ``byte + 1`` of a length contribute to its CRC: uint32 (65536,).

    CRC-32C is affine over exclusive or: the CRC of a length below 2**32 is the exclusive or of its entries
    in the tables for bytes 0 and 2. The table for byte 0 includes the CRC of length 0.
    """
    low, high = (
        np.array([crc32c(struct.pack("<Q", value << 8 * place)) for value in range(256)], np.uint32)
        for place in (byte, byte + 1)
    )
    zero = np.uint32(crc32c(bytes(8)))
    return (low[None, :] ^ high[:, None]).reshape(-1) ^ (zero if byte == 0 else np.uint32(0))


_FIRST_WORD_CRCS, _SECOND_WORD_CRCS = _word_crcs(0), _word_crcs(2)
