"""Reads GIFs as sequences: a file is a sequence, each of its pictures a frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageSequence

from pipeline.command_line.errors import RequestError
from trainer.prediction.stored_sequences import StoredSequence, check_size, naming_file

# A pixel with a larger gray value is 1, any other 0.
GRAY_THRESHOLD = 127

_SIGNATURES = (b"GIF87a", b"GIF89a")
_EXTENSION, _PICTURE, _END = b"!", b",", b";"


class GifFile:
    """A GIF of one sequence.

    Colors are converted to gray values by ITU-R 601-2 luma, then to 0 or 1 by `GRAY_THRESHOLD`. Programs that
    write GIFs may merge equal successive pictures into one, which is one frame here.

    Args:
        path: path of the file.

    Raises:
        RequestError: if the file is no GIF or ends too early, with the path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._size = self._read_size()
        self.num_sequences: int | None = 1

    def check(self, image_size: int) -> None:
        """See `SequenceFile.check`."""
        width, height, _ = self._size
        check_size(self.path, height, width, image_size)

    def sequences(self, image_size: int) -> Iterator[StoredSequence]:
        """See `SequenceFile.sequences`."""
        if self._read_size() != self._size:
            raise RequestError(f"{self.path}: was changed while it was read")
        timesteps = self._size[2]
        frames = np.zeros((timesteps, image_size, image_size, 1), np.float32)
        decoded = 0
        with naming_file(self.path), Image.open(self.path, formats=["GIF"]) as image:
            for decoded, picture in enumerate(ImageSequence.Iterator(image), start=1):
                # A picture beyond the canvas makes Pillow enlarge all later ones.
                check_size(self.path, picture.height, picture.width, image_size)
                frames[decoded - 1, :, :, 0] = np.asarray(picture.convert("L")) > GRAY_THRESHOLD
            if decoded != timesteps:
                raise ValueError(f"picture {decoded} cannot be decoded")
        yield StoredSequence(self.path, 0, timesteps, {"frames": frames})

    def _read_size(self) -> tuple[int, int, int]:
        with naming_file(self.path), open(self.path, "rb") as stream:
            return _gif_size(stream)


def _gif_size(stream: BinaryIO) -> tuple[int, int, int]:
    """Read width, height and number of pictures from a GIF's blocks, without decoding pictures.

    Pillow does not notice that a GIF is cut short: it reads fewer pictures.

    Raises:
        ValueError: if the stream is no GIF, has no pictures, or is damaged.
    """
    header = stream.read(13)
    if header[:6] not in _SIGNATURES:
        raise ValueError("is not a GIF")
    width, height, flags = struct.unpack_from("<HHB", header.ljust(13, b"\0"), 6)
    _skip_colors(stream, flags)
    num_pictures = 0
    while (kind := _read(stream, 1)) != _END:
        if kind == _EXTENSION:
            _read(stream, 1)
        elif kind == _PICTURE:
            _skip_colors(stream, _read(stream, 9)[8])
            _read(stream, 1)
            num_pictures += 1
        else:
            raise ValueError(f"is damaged at byte {stream.tell() - 1}")
        while size := _read(stream, 1)[0]:
            _read(stream, size)
    if not num_pictures:
        raise ValueError("holds no pictures")
    return width, height, num_pictures


def _skip_colors(stream: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _read(stream, 3 * 2 ** ((flags & 7) + 1))


def _read(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise ValueError("is damaged: the file ends too early")
    return content
