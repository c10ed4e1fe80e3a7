"""Writes the records of the path encoding as arrays, many at once.

All records of an image size have the same size and differ only in the path, the label and the payload's
checksum. A CRC is affine over exclusive or: the CRC of a payload is the CRC of the template's payload (a path
of zeros, label 0), exclusive-or a contribution of every byte of the path and of the label. With tables of
these contributions, the checksums of many records take a few NumPy calls. A path changes by at most one row
per step, so four consecutive rows are given by the first row and three steps: one entry of a table of 27 S
contributions serves all four.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.moving_line.lines import CLASS_NAMES, Int64Array, Uint8Array, Uint32Array
from pipeline.storage.tf_example import encode_example
from pipeline.storage.tfrecord import FOOTER_BYTES, HEADER_BYTES, crc32c, frame_record, mask_crc32c

# The index of four rows in such a table, 27 first + 9 (second - first + 1) + 3 (third - second + 1) +
# (fourth - third + 1), is the sum of the rows times these weights, plus this offset.
STEP_WEIGHTS = (18, 6, 2, 1)
STEP_OFFSET = 13

_ROWS = len(STEP_WEIGHTS)


@dataclass(frozen=True)
class PathRecords:
    """Layout of the records of one image size, and contributions to their CRC-32C.

    Attributes:
        image_size: S.
        template: uint8 (record bytes,): the record of a path of zeros and label 0, framing included.
        path: position of the S bytes of the path in the record.
        label: position of the label's byte in the record.
        empty_crc: CRC-32C of the template's payload, unmasked.
        step_crcs: uint32 (S // 4, 27 S): contributions of four rows, by group and `STEP_WEIGHTS` index.
        path_crcs: uint32 (S % 4, 256): contributions of the remaining rows, by position and value.
        label_crcs: uint32 (2,): contributions of the labels.
    """

    image_size: int
    template: Uint8Array
    path: slice
    label: int
    empty_crc: int
    step_crcs: Uint32Array
    path_crcs: Uint32Array
    label_crcs: Uint32Array

    @property
    def record_bytes(self) -> int:
        """Size of a record, framing included."""
        return len(self.template)

    def encode(self, paths: Uint8Array, labels: Int64Array) -> bytes:
        """Framed records, concatenated, of paths, uint8 (n, S), and labels, int64 (n,).

        The paths must be allowed by the definition; see `pipeline.moving_line.lines.check_sequences`.
        """
        records = np.empty((len(paths), self.record_bytes), np.uint8)
        records[:] = self.template
        records[:, self.path] = paths
        records[:, self.label] = labels
        records[:, -FOOTER_BYTES:] = self._checksums(paths, labels)
        return records.tobytes()

    def _checksums(self, paths: Uint8Array, labels: Int64Array) -> Uint8Array:
        """Masked CRC-32C of the payloads: uint8 (n, 4), the lowest byte first."""
        crc = self.label_crcs[labels] ^ np.uint32(self.empty_crc)
        contribution = np.empty_like(crc)
        rows = np.ascontiguousarray(paths.T)
        whole = len(self.step_crcs) * _ROWS
        tables = (*self.step_crcs, *self.path_crcs)
        for contributions, values in zip(tables, (*_steps(rows[:whole]), *rows[whole:]), strict=True):
            # mode="clip" avoids a copy of the output in NumPy; all indices are inside the table.
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

    # The contribution of a byte is the exclusive or of the contributions of its bits.
    path_crcs: npt.NDArray[np.uint32] = np.zeros((image_size, 256), np.uint32)
    for place in range(image_size):
        for bit in range(8):
            value = 1 << bit
            added = np.uint32(contribution(path_start + place, value))
            path_crcs[place, value : 2 * value] = path_crcs[place, :value] ^ added
    whole = image_size // _ROWS * _ROWS
    return PathRecords(
        image_size,
        np.frombuffer(frame_record(empty), np.uint8),
        slice(HEADER_BYTES + path_start, HEADER_BYTES + path_start + image_size),
        HEADER_BYTES + label,
        crc,
        _of_steps(path_crcs[:whole], image_size),
        path_crcs[whole:],
        np.array([contribution(label, value) for value in range(len(CLASS_NAMES))], np.uint32),
    )


def _steps(rows: Uint8Array) -> npt.NDArray[np.uint16]:
    """Indices into `PathRecords.step_crcs`, (n, count), of groups of four rows, uint8 (4 n, count)."""
    first, second, third, fourth = (
        weight * rows[row::_ROWS].astype(np.uint16) for row, weight in enumerate(STEP_WEIGHTS)
    )
    steps: npt.NDArray[np.uint16] = first + second + third + fourth + STEP_OFFSET
    return steps


def _of_steps(path_crcs: Uint32Array, image_size: int) -> Uint32Array:
    """The table `PathRecords.step_crcs`, uint32 (n, 27 S), from contributions by row, uint32 (4 n, 256)."""
    number = np.arange(27 * image_size)
    first, steps = number // 27, (number // 9 % 3, number // 3 % 3, number % 3)
    # Some of these steps lead out of the frame: such entries are not used, clipping makes them valid indices.
    rows = np.cumsum([first, *(step - 1 for step in steps)], axis=0).clip(0, 255)
    by_place = path_crcs.reshape(-1, _ROWS, 256)
    contributions: Uint32Array = np.bitwise_xor.reduce(
        [by_place[:, place, of_place] for place, of_place in enumerate(rows)], axis=0
    )
    return contributions


def _payload(path: bytes, label: int) -> bytes:
    return encode_example({"path": path, "label": label})


def _differences(one: bytes, other: bytes) -> list[int]:
    return [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
