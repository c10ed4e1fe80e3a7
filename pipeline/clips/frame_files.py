"""Encodes stored frames as JPEG or PNG, reads their sizes back, and hashes what they show."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

Image = npt.NDArray[np.uint8]

_MOST_LOOKS = 64
# Of zlib. Its default, 6, takes 2.5 times as long for 3 % fewer bytes of a photograph.
_PNG_LEVEL = 3
# Frames whose small versions have less contrast than this, in gray levels, are alike whatever they show.
_LEAST_CONTRAST = 12


def encode_frame(image: Image, encoding: str, quality: int) -> bytes:
    """A stored frame, uint8 (height, width, C), C = 1 or 3, as the bytes of a JPEG or PNG."""
    return encode_picture(
        Pillow.fromarray(image[..., 0] if image.shape[2] == 1 else image), encoding, quality
    )


def encode_picture(picture: Pillow.Image, encoding: str, quality: int) -> bytes:
    """A stored frame of mode L or RGB as the bytes of a JPEG or PNG."""
    stream = io.BytesIO()
    if encoding == "jpeg":
        picture.save(stream, "JPEG", quality=quality)
    else:
        picture.save(stream, "PNG", compress_level=_PNG_LEVEL)
    return stream.getvalue()


def decode_frame(content: bytes, shape: Sequence[int]) -> Image:
    """The pixels of a stored frame, uint8 of a shape (height, width, C).

    Raises:
        ValueError: if it is no JPEG or PNG of this shape, or is damaged.
    """
    height, width, channels = shape
    try:
        with Pillow.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            found = image.height, image.width, len(image.getbands())
            if found != (height, width, channels):
                raise ValueError(f"an image of shape {found}, expected {tuple(shape)}")
            pixels: Image = np.asarray(image)
    except ValueError:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files.
        raise ValueError(f"an image that cannot be decoded ({error})") from error
    return pixels.reshape(height, width, channels)


def to_channels(image: Image, channels: int) -> Image:
    """An RGB image, uint8 (h, w, 3), with 3 channels or with 1, its luma by BT.601."""
    if channels == 3:
        return image
    return np.asarray(in_channels(Pillow.fromarray(image), channels))[..., None]


def in_channels(picture: Pillow.Image, channels: int) -> Pillow.Image:
    """An RGB picture with 3 channels or with 1, its luma by BT.601."""
    return picture if channels == 3 else picture.convert("L")


class Looks:
    """What a clip looks like: hashes and brightness of frames that are spread over it.

    Not every frame is looked at: when there are `_MOST_LOOKS`, every second one is dropped, and from then on
    only half as many are taken. So four frames near 1/8, 3/8, 5/8 and 7/8 of the clip are always among them.

    Attributes:
        count: number of frames.
    """

    def __init__(self) -> None:
        self.count = 0
        self._every = 1
        self._taken: list[tuple[int | None, float]] = []

    def add(self, picture: Pillow.Image) -> None:
        """Add the next frame, an RGB picture."""
        if self.count % self._every == 0:
            self._taken.append(_look(picture))
            if len(self._taken) == _MOST_LOOKS:
                self._taken, self._every = self._taken[::2], 2 * self._every
        self.count += 1

    def hashes(self) -> list[int | None]:
        """Difference hashes of four frames, None for one with too little contrast; empty without frames."""
        if not self._taken:
            return []
        places = (place * self.count // (8 * self._every) for place in (1, 3, 5, 7))
        return [self._taken[min(place, len(self._taken) - 1)][0] for place in places]

    def brightness(self) -> float:
        """Mean gray level, 0..255."""
        return round(sum(mean for _, mean in self._taken) / max(1, len(self._taken)), 3)


def _look(picture: Pillow.Image) -> tuple[int | None, float]:
    """The 64-bit difference hash of an RGB frame, None with too little contrast, and its mean gray level.

    Each bit says whether a pixel of the frame, scaled to 9 x 8 gray pixels, is darker than its right
    neighbour (N. Krawetz, "Kind of like that", 2013).
    """
    small = picture.convert("L").resize((9, 8), Pillow.Resampling.BOX).tobytes()
    mean = sum(small) / len(small)
    if max(small) - min(small) < _LEAST_CONTRAST:
        return None, mean
    levels = np.frombuffer(small, np.uint8).reshape(8, 9)
    return int.from_bytes(np.packbits(levels[:, :-1] < levels[:, 1:]).tobytes(), "big"), mean
