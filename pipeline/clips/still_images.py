"""Decodes still images, and folders of them, with Pillow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from pipeline.clips.decoding import Clip
from pipeline.clips.errors import BadClipError, reason_of
from pipeline.clips.fitting import FrameFitter, Image, flatten
from pipeline.clips.frame_settings import MAX_PIXELS, MAX_SIDE, FrameSettings
from pipeline.clips.media_files import folder_images

# Only these: Pillow's other readers include ones that start programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# What a page of a TIFF is to the others: tags, and their values.
_SUBFILE, _REDUCED_OR_MASK = 254, 1 | 4
_OLD_SUBFILE, _OLD_REDUCED = 255, 2


def image_names(directory: str) -> list[str]:
    """Names of the images of a folder, in natural order."""
    return folder_images(os.listdir(directory))


def decode_images(clip: Clip, settings: FrameSettings) -> Iterator[tuple[int, Image]]:
    """Yield the frame of a still image, or those of a folder of images, each as a chosen frame.

    The arguments and errors are those of `pipeline.clips.decoding.decode_video`.
    """
    if os.path.isdir(clip.path):
        paths = [os.path.join(clip.path, name) for name in image_names(clip.path)]
    else:
        paths = [clip.path]
    facts, fitter = clip.facts, FrameFitter(settings)
    sampler = clip.sampler(settings)
    for place, path in enumerate(paths):
        try:
            image, codec = _read(path)
        except BadClipError as error:
            where = f"its image {os.path.basename(path)} " if len(paths) > 1 else ""
            raise BadClipError(f"{where}{error}", is_damaged=place > 0) from error
        if place == 0:
            facts.codec, facts.height, facts.width = codec, *image.shape[:2]
        facts.num_frames, facts.seconds = place + 1, float((place + 1) / settings.fps)
        fitted = fitter.fit_rgb(image)
        yield from ((number, fitted) for number in sampler.before((place + 1) / settings.fps))
    if not paths:
        raise BadClipError("has no images")


def _read(path: str) -> tuple[Image, str]:
    """An image as it is shown, and its format: uint8 (h, w, 3), turned by its EXIF data, alpha over black."""
    if os.path.exists(path) and not os.path.isfile(path):  # Reading a pipe or a device may not end.
        raise BadClipError("is no regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(path, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
                    raise BadClipError(
                        f"asks for {image.width}x{image.height} pixels: at most {MAX_PIXELS} are decoded"
                    )
                if (count := _num_frames(image)) > 1:
                    raise BadClipError(
                        f"has {count} frames: make it a GIF, a video, or a folder of images of one frame each"
                    )
                image.load()
                return _rgb(ImageOps.exif_transpose(image)), str(image.format).lower()
    except (BadClipError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # Its message has the path.
        raise BadClipError("cannot be decoded (it is no image of a known format)") from error
    except Exception as error:  # Pillow raises many kinds for damaged files.
        raise BadClipError(f"cannot be decoded ({reason_of(error)})") from error


def _num_frames(image: Pillow.Image) -> int:
    """How many frames or pages a file has, without previews, thumbnails and masks beside the picture."""
    if image.format == "MPO":  # A JPEG of a camera, with a preview or a view for the other eye.
        return 1
    count: int = getattr(image, "n_frames", 1)
    if image.format != "TIFF" or count == 1:
        return count
    width, height = image.size
    others = 0
    for number in range(1, count):
        image.seek(number)
        tags = image.tag_v2  # type: ignore[attr-defined]  # Of TIFF files only.
        is_beside = tags.get(_SUBFILE, 0) & _REDUCED_OR_MASK or tags.get(_OLD_SUBFILE) == _OLD_REDUCED
        # Thumbnails are not always marked as such.
        is_small = 2 * image.width <= width and 2 * image.height <= height
        others += not is_beside and not is_small
    image.seek(0)
    return 1 + others


def _rgb(image: Pillow.Image) -> Image:
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion clips instead of scaling.
        gray = (np.asarray(image).astype(np.int64) * 255 + 32767) // 65535
        return np.repeat(gray.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        return flatten(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))
