"""Which files are media, by the suffix of their names; decoding decides whether they really are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_VIDEO = """
    .3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpe .mpeg
    .mpg .mts .mxf .nut .ogm .ogv .qt .ts .vob .webm .wmv .y4m"""
_IMAGES = ".bmp .jpe .jpeg .jpg .pgm .png .ppm .tif .tiff .webp"

VIDEO_SUFFIXES = frozenset(_VIDEO.split())
IMAGE_SUFFIXES = frozenset(_IMAGES.split())


def suffix(path: str) -> str:
    """The suffix of a path's last name in lower case, with its dot; empty if there is none."""
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :].lower() if "." in name.lstrip(".") else ""


def is_image(path: str) -> bool:
    """Whether a path names a still image."""
    return suffix(path) in IMAGE_SUFFIXES


def is_media(path: str) -> bool:
    """Whether a path names a video or a still image."""
    return suffix(path) in VIDEO_SUFFIXES or is_image(path)


def is_hidden(path: str) -> bool:
    """Whether a path, or a folder of it, is hidden, or of the kind that macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def is_text(path: str) -> bool:
    """Whether a path can be printed on one line and stored in UTF-8: any letters, signs and spaces."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in path)


def natural_order(path: str) -> list[tuple[int, int | str]]:
    """A sort key that compares the numbers in names by value: ``img2`` before ``img10``."""
    parts = re.split(r"(\d+)", path)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def folder_images(names: Iterable[str]) -> list[str]:
    """Of the names in a folder, those of the images of its clip, in natural order."""
    images = (name for name in names if is_image(name) and not is_hidden(name))
    return sorted(images, key=lambda name: (natural_order(name), name))
