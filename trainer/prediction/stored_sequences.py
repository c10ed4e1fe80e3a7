"""The interface of all readers of sequence files, which need no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from pipeline.command_line.errors import RequestError, one_line


@dataclass(frozen=True)
class StoredSequence:
    """A sequence of a file.

    Attributes:
        file: path of the file, as the user gave it.
        index: index of the sequence in the file, from 0.
        num_frames: number of frames, T.
        features: ``{"frames": float32 (T, S, S, 1)}``, values from 0 to 1, shown to the model unchanged; or
            ``{"path": uint8 (S,), "label": uint8 ()}``, shown as in training.
        label: 0 = left, 1 = right; None if the file has no labels.
    """

    file: str
    index: int
    num_frames: int
    features: Mapping[str, npt.NDArray[Any]]
    label: int | None = None


class SequenceFile(Protocol):
    """A reader of a file of sequences.

    Attributes:
        path: path of the file, as the user gave it.
        num_sequences: number of sequences in the file; None if it is not known without reading all of it.
    """

    path: str
    num_sequences: int | None

    def check(self, image_size: int) -> None:
        """Check that the frames have S x S pixels.

        Args:
            image_size: S.

        Raises:
            RequestError: if not, with the path.
        """

    def sequences(self, image_size: int) -> Iterator[StoredSequence]:
        """Yield all sequences in order, with one at a time in memory.

        Args:
            image_size: S.

        Raises:
            RequestError: at the first sequence that is damaged, of another size, or with values out of range;
                or if the file has changed since the reader was made. The message has the path.
        """


@contextmanager
def naming_file(path: str) -> Iterator[None]:
    """Replace any error in the block by one that names the file.

    Raises:
        RequestError: with ``path`` and the error's message, in one line.
    """
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # zipfile, zlib, Pillow and NumPy raise errors of their own.
        system = error.strerror if isinstance(error, OSError) else None
        raise RequestError(f"{path}: {system or one_line(error)[:200]}") from error


def check_size(path: str, rows: int, columns: int, image_size: int) -> None:
    """Check that frames have the size that the model was trained on.

    Raises:
        RequestError: if not, with the path and both sizes.
    """
    if (rows, columns) != (image_size, image_size):
        raise RequestError(
            f"{path}: frames of {rows} x {columns} pixels, the model was trained on images of size"
            f" {image_size}"
        )
