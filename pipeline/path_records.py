"""Records of the path encoding as arrays: whole blocks are framed, and checked, at once.

All records of an image size have one size and differ only in the path, the label and the payload's checksum.
A CRC is affine over exclusive or: the checksum of a payload is the one of an empty path, exclusive-or what
every byte of the path and the label contributes in its place. Tables of those contributions make the
checksums of a block of records in a few NumPy calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.example import encode_example
from pipeline.lines import CLASS_NAMES, Int64Array, Uint8Array, Uint32Array, check_sequences
from pipeline.tfrecord import FOOTER_BYTES, HEADER_BYTES, crc32c, frame_record, mask_crc32c


@dataclass(frozen=True)
class PathRecords:
    """Layout of the records of one image size.

    Attributes:
        image_size: S.
        template: uint8 (record bytes,): the record of an empty path and label 0, framing included.
        path: where the S bytes of the path lie in the record.
        label: where the label's byte lies.
        empty_crc: CRC-32C of the template's payload, unmasked.
        path_crcs: uint32 (S, 256): what each value in each place of the path adds to it.
        label_crcs: uint32 (2,): what each label adds.
    """

    image_size: int
    template: Uint8Array
    path: slice
    label: int
    empty_crc: int
    path_crcs: Uint32Array
    label_crcs: Uint32Array

    @property
    def record_bytes(self) -> int:
        """Size of a record, framing included."""
        return len(self.template)

    def encode(self, paths: Uint8Array, labels: Int64Array) -> bytes:
        """Framed records: paths uint8 (n, S), labels int64 (n,)."""
        records = np.empty((len(paths), self.record_bytes), np.uint8)
        records[:] = self.template
        records[:, self.path] = paths
        records[:, self.label] = labels
        records[:, -FOOTER_BYTES:] = self._checksums(paths, labels)
        return records.tobytes()

    def decode(self, block: bytes, count: int) -> tuple[Uint8Array, Int64Array]:
        """Paths, uint8 (count, S), and labels, int64 (count,), of framed records.

        Args:
            block: the records, one after the other.
            count: how many they should be.

        Raises:
            ValueError: if any byte of a record is not as `encode` would write it for an allowed sequence;
                which byte it is takes a slower look.
        """
        if len(block) != count * self.record_bytes:
            raise ValueError("the file ends too early")
        records = np.frombuffer(block, np.uint8).reshape(count, self.record_bytes)
        paths = np.ascontiguousarray(records[:, self.path])
        labels = records[:, self.label].astype(np.int64)
        check_sequences(paths, labels)
        expected = np.empty_like(records)
        expected[:] = self.template
        expected[:, self.path] = paths
        expected[:, self.label] = records[:, self.label]
        expected[:, -FOOTER_BYTES:] = self._checksums(paths, labels)
        if expected.tobytes() != block:
            raise ValueError("the framing or a checksum is damaged")
        return paths, labels

    def _checksums(self, paths: Uint8Array, labels: Int64Array) -> Uint8Array:
        """Masked checksums of the payloads, uint8 (n, 4), the lowest byte first."""
        crc = self.label_crcs[labels] ^ np.uint32(self.empty_crc)
        contribution = np.empty_like(crc)
        for contributions, values in zip(self.path_crcs, np.ascontiguousarray(paths.T), strict=True):
            # "clip" spares NumPy a copy of the output; a byte is always within its table.
            np.take(contributions, values, out=contribution, mode="clip")
            crc ^= contribution
        return mask_crc32c(crc).astype("<u4")[:, None].view(np.uint8)


@lru_cache(maxsize=4)
def path_records(image_size: int) -> PathRecords:
    """The layout for an image size."""
    empty = _payload(bytes(image_size), 0)
    (path_start,) = _differences(empty, _payload(b"\1" + bytes(image_size - 1), 0))
    (label,) = _differences(empty, _payload(bytes(image_size), 1))
    crc = crc32c(empty)

    def contribution(place: int, value: int) -> int:
        changed = bytearray(empty)
        changed[place] = value
        return crc32c(bytes(changed)) ^ crc

    # The contributions of a byte follow from those of its bits, again by exclusive or.
    path_crcs: npt.NDArray[np.uint32] = np.zeros((image_size, 256), np.uint32)
    for place in range(image_size):
        for bit in range(8):
            value = 1 << bit
            added = np.uint32(contribution(path_start + place, value))
            path_crcs[place, value : 2 * value] = path_crcs[place, :value] ^ added
    return PathRecords(
        image_size,
        np.frombuffer(frame_record(empty), np.uint8),
        slice(HEADER_BYTES + path_start, HEADER_BYTES + path_start + image_size),
        HEADER_BYTES + label,
        crc,
        path_crcs,
        np.array([contribution(label, value) for value in range(len(CLASS_NAMES))], np.uint32),
    )


def _payload(path: bytes, label: int) -> bytes:
    return encode_example({"path": path, "label": label})


def _differences(one: bytes, other: bytes) -> list[int]:
    return [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
