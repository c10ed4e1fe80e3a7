"""The header of a ``.npy`` file, and what of it can be sequences."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.command_line.errors import one_line

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# NumPy parses 10,000 bytes at most, but reads whatever number the file claims before it says so.
MAX_HEADER_BYTES = np.lib.format.MAGIC_LEN + 4 + 10_000


@dataclass(frozen=True)
class ArrayHeader:
    """An array of sequences.

    Attributes:
        shape: (n, T, S, S), or what else was asked for that begins with n; each at least 1.
        dtype: of bool, integers or floats.
        content: the header's bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    content: bytes

    @property
    def sequence_bytes(self) -> int:
        """Size of a sequence."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return len(self.content) + self.shape[0] * self.sequence_bytes


def read_array_header(
    start: bytes, size: int, as_sequences: Callable[[tuple[int, ...]], tuple[int, ...]]
) -> ArrayHeader:
    """Read the header.

    Args:
        start: of a ``.npy`` file, its first `MAX_HEADER_BYTES` or all it has.
        size: of the file in bytes.
        as_sequences: gives the shape of sequences, the first dimension their number, of the array's shape;
            raises ValueError if that is none of sequences.

    Raises:
        ValueError: if it is no such file, its values are not sequences of numbers in C order, or the file's
            size is not that of the header and its values.
    """
    stream = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
    except ValueError as error:
        raise ValueError("is not a .npy array; save it with np.save") from error
    if version not in _READERS:
        raise ValueError(f"has format {version}, which is not of plain numbers; save it with np.save")
    try:
        shape, is_fortran, dtype = _READERS[version](stream)
    except Exception as error:  # NumPy passes on those of Python's parser and tokenizer.
        raise ValueError(f"has a damaged header ({one_line(error)[:120]}); save it with np.save") from error
    if dtype.hasobject:
        raise ValueError("holds pickled Python objects, which are never loaded; save an array of numbers")
    if dtype.kind not in "biuf":
        raise ValueError(f"holds values of type {dtype}, expected bool, integers or floats")
    array = ArrayHeader(as_sequences(shape), dtype, start[: stream.tell()])
    if is_fortran:
        raise ValueError("is in Fortran order, which cannot be streamed; save np.ascontiguousarray(x)")
    if size != array.file_bytes:
        raise ValueError(f"has {size} bytes, its header says {array.file_bytes}; save it again")
    return array


def line_sequences(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as (n, T, S, S), of moving lines.

    A last dimension of 1 is a channel, for no image is as small as that.

    Raises:
        ValueError: if it is no shape of sequences.
    """
    plain = shape[:-1] if len(shape) > 3 and shape[-1] == 1 else shape
    if len(plain) == 3:
        plain = (1, *plain)
    if len(plain) != 4 or plain[2] != plain[3] or min(plain) < 0:
        raise ValueError(
            f"has shape {shape}, expected (n, T, S, S, 1), (n, T, S, S), (T, S, S, 1) or (T, S, S)"
        )
    count, timesteps, rows, columns = plain
    if not count:
        raise ValueError(f"holds no sequences (its shape is {shape})")
    if not timesteps or not rows:
        raise ValueError(f"holds no frames (its shape is {shape})")
    return count, timesteps, rows, columns
