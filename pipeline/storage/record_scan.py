"""All that can be read of a TFRecord file, damaged or not.

A strict reader stops at the first damaged record. This one goes on at the next place where a record
begins: behind a damaged payload, whose length is still known, or else at the next header whose own checksum
holds. A false header would need a 32-bit checksum to match by chance, and its payload's too.
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
# Arrays of that many places stay in the processor's cache.
_PLACES_AT_ONCE = 2**14


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


class RecordScanner:
    """Finds the records of a file, and the stretches of damage between them, in order.

    Args:
        stream: the file, at the start of a record.
        record_bytes: the mean size of a record, framing included: by it a stretch of damage is counted as so
            many records. Without it, a stretch counts as one.
        first_record, offset_bytes: number and place of the record where the stream stands.

    Attributes:
        record: number of the next record; who knows better may set it.
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
        """Where the next record starts in the file."""
        return self._window.offset_bytes

    def peek(self, num_bytes: int) -> bytes:
        """The next bytes, fewer at the end of the file."""
        return self._window.peek(num_bytes)

    def pass_over(self, num_records: int, num_bytes: int) -> None:
        """Go on behind records that were seen by `peek`."""
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
                self.pass_over(1, HEADER_BYTES + size + FOOTER_BYTES)
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
        if (start := _first_header(ahead)) is not None:
            window.skip(start)
            return
        window.skip(len(ahead) - HEADER_BYTES + 1)
    window.skip(len(ahead))


def _first_header(content: bytes) -> int | None:
    """Where the first header in at least `HEADER_BYTES` bytes starts, if there is one.

    All places are looked at, many at once: a file may be zeros, or any pattern, from here on.
    """
    for start in range(0, len(content) - HEADER_BYTES + 1, _PLACES_AT_ONCE):
        words = _words(content[start : start + _PLACES_AT_ONCE + HEADER_BYTES - 1])
        if not words.any():  # Not even length 0: its checksum is not 0.
            continue
        count = len(words) - (HEADER_BYTES - 2)
        # Of a length's eight bytes the upper four are zero, and the two below no more than the largest's.
        is_length = (words[4 : 4 + count] | words[6 : 6 + count]) == 0
        is_length &= words[2 : 2 + count] <= MAX_PAYLOAD_BYTES >> 16
        places = np.flatnonzero(is_length)
        if len(places) < count // 4:
            low, high, low_crc, high_crc = (words[places + offset] for offset in (0, 2, 8, 10))
        else:  # Picking most of them out takes longer than looking at all.
            places = np.arange(count)
            low, high, low_crc, high_crc = (words[offset : offset + count] for offset in (0, 2, 8, 10))
        crc = _FIRST_WORD_CRCS.take(low) ^ _SECOND_WORD_CRCS.take(high)
        stored = low_crc | high_crc.astype(np.uint32) << np.uint32(16)
        for place in places[mask_crc32c(crc) == stored].tolist():
            if _header_damage(content[start + place : start + place + HEADER_BYTES]) is None:
                return start + int(place)
    return None


def _words(block: bytes) -> npt.NDArray[np.uint16]:
    """Two bytes from every place on as a little-endian number, uint16 (len(block) - 1,)."""
    words = np.empty(len(block) - 1, np.uint16)
    words[::2] = np.frombuffer(block, "<u2", len(block) // 2)
    words[1::2] = np.frombuffer(block, "<u2", (len(block) - 1) // 2, 1)
    return words


def _word_crcs(byte: int) -> npt.NDArray[np.uint32]:
    """What each value of two bytes of a length, the given one and the next, adds to its CRC: uint32 (65536,).

    A CRC is affine over exclusive or, so the CRC of a length is the one of length 0, exclusive-or these.
    """
    low, high = (
        np.array([crc32c(struct.pack("<Q", value << 8 * place)) for value in range(256)], np.uint32)
        for place in (byte, byte + 1)
    )
    zero = np.uint32(crc32c(bytes(8)))
    return (low[None, :] ^ high[:, None]).reshape(-1) ^ (zero if byte == 0 else np.uint32(0))


_FIRST_WORD_CRCS, _SECOND_WORD_CRCS = _word_crcs(0), _word_crcs(2)
