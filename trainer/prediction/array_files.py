"""Reads sequences of ``.npy`` and ``.npz`` files as streams, without loading a whole array."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pipeline.command_line.errors import RequestError
from trainer.prediction.array_header import (
    MAX_HEADER_BYTES,
    ArrayHeader,
    line_sequences,
    read_array_header,
)
from trainer.prediction.stored_sequences import StoredSequence, check_size, naming_file

PREFERRED_MEMBER = "frames"

# The methods whose decompressed blocks are bounded in size by `zipfile`.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAX_NAMED = 8


class ArrayFile:
    """A ``.npy`` file, or a ``.npz`` file: its member `PREFERRED_MEMBER`, or its only one.

    Args:
        path: path of the file.

    Raises:
        RequestError: if the array is damaged or cannot be sequences, with the path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._header = header_of(path, line_sequences)
        self.num_sequences: int | None = self._header.shape[0]

    def check(self, image_size: int) -> None:
        """See `SequenceFile.check`."""
        rows, columns = self._header.shape[2:]
        check_size(self.path, rows, columns, image_size)

    def sequences(self, image_size: int) -> Iterator[StoredSequence]:
        """See `SequenceFile.sequences`."""
        timesteps, dtype = self._header.shape[1], self._header.dtype
        # Read booleans as bytes, so that a damaged one above 1 is found.
        dtype = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        for index, content in enumerate(contents(self.path, self._header)):
            values = np.frombuffer(content, dtype).reshape(timesteps, image_size, image_size, 1)
            self._check_values(index, values)
            frames = values.astype(np.float32)
            yield StoredSequence(self.path, index, timesteps, {"frames": frames})

    def _check_values(self, index: int, values: npt.NDArray[Any]) -> None:
        low, high = values.min(), values.max()
        if not np.isfinite(low) or not np.isfinite(high):
            raise RequestError(
                f"{self.path}: sequence {index} has values that are not finite, expected 0 to 1"
            )
        if low < 0 or high > 1:
            advice = "; divide by 255" if low >= 0 and 2 < high <= 255 else ""
            raise RequestError(
                f"{self.path}: sequence {index} has values from {low} to {high}, expected 0 to 1{advice}"
            )


def header_of(path: str, as_sequences: Callable[[tuple[int, ...]], tuple[int, ...]]) -> ArrayHeader:
    """The header of a file; see `read_array_header`.

    Raises:
        RequestError: if the array is damaged or cannot be sequences, with the path.
    """
    with naming_file(path), _opened_array(path) as (stream, size):
        return read_array_header(stream.read(MAX_HEADER_BYTES), size, as_sequences)


def contents(path: str, header: ArrayHeader) -> Iterator[bytes]:
    """The bytes of all sequences of a file, with one at a time in memory.

    Raises:
        RequestError: if the file is damaged or not the one of the header, with the path.
    """
    with naming_file(path), _opened_array(path) as (stream, size):
        if size != header.file_bytes or stream.read(len(header.content)) != header.content:
            raise ValueError("was changed while it was read")
        for index in range(header.shape[0]):
            content = stream.read(header.sequence_bytes)
            if len(content) < header.sequence_bytes:
                raise ValueError(f"ends inside sequence {index}")
            yield content


@contextmanager
def _opened_array(path: str) -> Iterator[tuple[IO[bytes], int]]:
    """Yield the stream of a ``.npy`` file, plain or in an archive, and its size in bytes."""
    if path.lower().endswith(".npz"):
        with zipfile.ZipFile(path) as archive:
            member = _member(archive)
            with archive.open(member) as stream:
                yield stream, member.file_size
    else:
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size


def _member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if not members:
        raise ValueError("holds no arrays")
    if len(members) > 1 and PREFERRED_MEMBER not in members:
        names = [*sorted(members)[:_MAX_NAMED], *(["..."] if len(members) > _MAX_NAMED else [])]
        raise ValueError(f"holds the arrays {', '.join(names)}; name the one to predict {PREFERRED_MEMBER!r}")
    member = members[PREFERRED_MEMBER] if PREFERRED_MEMBER in members else next(iter(members.values()))
    if member.compress_type not in _METHODS:
        raise ValueError("is compressed by another method than NumPy's; save it with np.savez_compressed")
    return member
