"""TFRecord framing without TensorFlow.

A record is: the payload's length, uint64 little-endian; the masked CRC-32C of these 8 bytes, uint32; the
payload; the masked CRC-32C of the payload, uint32. A CRC is masked as in TensorFlow's ``record_writer.cc``:
rotated right by 15 bits, plus 0xa282ead8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt

HEADER_BYTES = 12
FOOTER_BYTES = 4
MASK_DELTA = 0xA282EAD8

# A larger length counts as damage, so that no reader allocates that much memory.
MAX_PAYLOAD_BYTES = 2**31


class CorruptRecordError(ValueError):
    """A record is incomplete or fails a checksum.

    Attributes:
        record: number of the record in its file, from 0.
        offset_bytes: offset of the record in its file.
        reason: what is wrong with it.
    """

    def __init__(self, record: int, offset_bytes: int, reason: str) -> None:
        super().__init__(f"record {record} at byte {offset_bytes}: {reason}")
        self.record = record
        self.offset_bytes = offset_bytes
        self.reason = reason


def crc32c(data: bytes) -> int:
    """CRC-32C of bytes, unmasked, uint32."""
    crc: int = google_crc32c.value(data)
    return crc


def mask_crc32c(crc: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Mask CRCs as TFRecord files store them: uint32 of any shape, the same shape returned."""
    return (crc >> np.uint32(15) | crc << np.uint32(17)) + np.uint32(MASK_DELTA)


def masked_crc32c(data: bytes) -> int:
    """The masked CRC-32C of bytes, uint32."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


def frame_record(payload: bytes) -> bytes:
    """A payload as a framed record."""
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc32c(length)),
            payload,
            struct.pack("<I", masked_crc32c(payload)),
        )
    )


def read_records(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the payloads of a TFRecord file after verifying both checksums of each.

    Raises:
        CorruptRecordError: at the first record that is incomplete or fails a checksum.
    """
    offset = record = 0
    while header := stream.read(HEADER_BYTES):
        if len(header) < HEADER_BYTES:
            raise CorruptRecordError(record, offset, "the file ends inside the record's header")
        (size,) = struct.unpack("<Q", header[:8])
        if struct.unpack("<I", header[8:])[0] != masked_crc32c(header[:8]):
            raise CorruptRecordError(record, offset, "the length's checksum does not match")
        if size > MAX_PAYLOAD_BYTES:
            raise CorruptRecordError(record, offset, f"a length of {size} bytes")
        body = stream.read(size + FOOTER_BYTES)
        if len(body) < size + FOOTER_BYTES:
            raise CorruptRecordError(record, offset, "the file ends inside the record")
        payload = body[:-FOOTER_BYTES]
        if struct.unpack("<I", body[-FOOTER_BYTES:])[0] != masked_crc32c(payload):
            raise CorruptRecordError(record, offset, "the payload's checksum does not match")
        yield payload
        offset += HEADER_BYTES + len(body)
        record += 1
