"""The header of a ``.npy`` file, and what of it can be sequences."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from pipeline.command_line.errors import one_line

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4}
_MAX_HEADER_BYTES = 10_000  # NumPy's own limit.


@dataclass(frozen=True)
class ArrayHeader:
    """An array of sequences.

    Attributes:
        shape: (n, T, S, S), each at least 1.
        dtype: of bool, integers or floats.
        num_bytes: of the header.
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    num_bytes: int

    @property
    def sequence_bytes(self) -> int:
        """Size of a sequence."""
        _, timesteps, rows, columns = self.shape
        return timesteps * rows * columns * self.dtype.itemsize


def read_array_header(stream: IO[bytes], size: int) -> ArrayHeader:
    """Read the header, up to the first value.

    Args:
        stream: at the beginning of a ``.npy`` file.
        size: of the file in bytes.

    Raises:
        ValueError: if it is no such file, its values are not sequences of numbers in C order, or the file's
            size is not that of the header and its values.
    """
    content = _read_header(stream)
    try:
        header = io.BytesIO(content)
        shape, is_fortran, dtype = _READERS[np.lib.format.read_magic(header)](header)
    except Exception as error:  # NumPy passes on those of Python's parser and tokenizer.
        raise ValueError(f"has a damaged header ({one_line(error)[:120]}); save it with np.save") from error
    if dtype.hasobject:
        raise ValueError("holds pickled Python objects, which are never loaded; save an array of numbers")
    if dtype.kind not in "biuf":
        raise ValueError(f"holds values of type {dtype}, expected bool, integers or floats")
    array = ArrayHeader(_sequences(shape), dtype, len(content))
    if is_fortran:
        raise ValueError("is in Fortran order, which cannot be streamed; save np.ascontiguousarray(x)")
    expected = array.num_bytes + array.shape[0] * array.sequence_bytes
    if size != expected:
        raise ValueError(f"has {size} bytes, its header says {expected}; save it again")
    return array


def _read_header(stream: IO[bytes]) -> bytes:
    """The header's bytes, as many as NumPy would parse; it would read any number of them to see that."""
    start = stream.read(np.lib.format.MAGIC_LEN)
    magic, version = start[:-2], tuple(start[-2:])
    if magic != np.lib.format.MAGIC_PREFIX or len(version) < 2:
        raise ValueError("is not a .npy array; save it with np.save")
    if version not in _READERS:
        raise ValueError(f"has format {version}, which is not of plain numbers; save it with np.save")
    length = stream.read(_LENGTH_BYTES[version])
    num_bytes = int.from_bytes(length, "little")
    if num_bytes > _MAX_HEADER_BYTES:
        raise ValueError(f"has a damaged header ({num_bytes} bytes); save it with np.save")
    return start + length + stream.read(num_bytes)


def _sequences(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A shape as (n, T, S, S); a last dimension of 1 is a channel, for no image is as small as that."""
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
