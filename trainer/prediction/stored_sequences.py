"""What all readers of sequence files have in common. They need no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from pipeline.command_line.errors import RequestError, one_line


@dataclass(frozen=True)
class StoredSequence:
    """One sequence of a file.

    Attributes:
        file: its path, as it was named.
        index: its number in the file, from 0.
        num_frames: T.
        features: ``{"frames": float32 (T, S, S, 1)}``, values from 0 to 1, for what is shown to the model as
            it is; ``{"path": uint8 (S,), "label": uint8 ()}`` for what is shown as in training.
        label: 0 = left, 1 = right; None where the file does not say.
    """

    file: str
    index: int
    num_frames: int
    features: Mapping[str, npt.NDArray[Any]]
    label: int | None = None


class SequenceFile(Protocol):
    """A file of sequences whose beginning was found to be in order.

    Attributes:
        path: as it was named.
        num_sequences: in the file; None if only reading all of it would tell.
    """

    path: str
    num_sequences: int | None

    def check(self, image_size: int) -> None:
        """See whether its frames have S x S pixels.

        Raises:
            RequestError: naming the file, if not.
        """

    def sequences(self, image_size: int) -> Iterator[StoredSequence]:
        """All sequences in order, in memory one at a time.

        Raises:
            RequestError: naming the file, at the first sequence that is damaged, of another size or with
                values out of range; also if the file is no longer the one whose beginning was read.
        """


@contextmanager
def damage_named(path: str) -> Iterator[None]:
    """Turn whatever reading a file raises inside the block into one line that names it.

    Raises:
        RequestError: of that line.
    """
    try:
        yield
    except RequestError:
        raise
    except Exception as error:  # Zip, zlib, Pillow and NumPy's parser of headers each have their own.
        system = error.strerror if isinstance(error, OSError) else None
        raise RequestError(f"{path}: {system or one_line(error)[:200]}") from error


def check_size(path: str, rows: int, columns: int, image_size: int) -> None:
    """Refuse frames of another size than the model was trained on.

    Raises:
        RequestError: naming the file and both sizes.
    """
    if (rows, columns) != (image_size, image_size):
        raise RequestError(
            f"{path}: frames of {rows} x {columns} pixels, the model was trained on images of size"
            f" {image_size}"
        )
