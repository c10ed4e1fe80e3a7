"""Encodes stored frames as JPEG or PNG, reads their sizes back, and hashes what they show."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

Image = npt.NDArray[np.uint8]

# Of a perceptual hash: a bit for each of 8 x 8 comparisons of neighbours.
HASH_BITS = 64
# Frames whose small versions have less contrast than this, in gray levels, are alike whatever they show.
_LEAST_CONTRAST = 12


def encode_frame(image: Image, encoding: str, quality: int) -> bytes:
    """A stored frame, uint8 (height, width, C), C = 1 or 3, as the bytes of a JPEG or PNG."""
    stream = io.BytesIO()
    pixels = Pillow.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if encoding == "jpeg":
        pixels.save(stream, "JPEG", quality=quality)
    else:
        pixels.save(stream, "PNG", compress_level=6)
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
    return np.asarray(Pillow.fromarray(image).convert("L"))[..., None]


def difference_hash(image: Image) -> int | None:
    """The 64-bit difference hash of an RGB frame; None for a frame with too little contrast.

    Each bit says whether a pixel of the frame, scaled to 9 x 8 gray pixels, is darker than its right
    neighbour (N. Krawetz, "Kind of like that", 2013).
    """
    small = np.asarray(Pillow.fromarray(image).convert("L").resize((9, 8), Pillow.Resampling.BOX))
    if int(small.max()) - int(small.min()) < _LEAST_CONTRAST:
        return None
    bits = np.packbits(small[:, :-1] < small[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")
