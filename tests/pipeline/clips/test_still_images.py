"""Still images, and folders of them, are clips whose frames are as a viewer shows them."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow
from PIL import ImageSequence
from PIL.TiffImagePlugin import AppendingTiffWriter

from tests.pipeline.clips.files import FRAMES, Image, Shown, at_rate, decode, matches, picture, put, settings
from tests.pipeline.clips.picture_files import over_black

_IMAGE = picture(37)
_ALPHA = np.dstack([_IMAGE, np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))])
_GRAY = np.asarray(Pillow.fromarray(_IMAGE).convert("L"))
_GRAY_RGB = np.repeat(_GRAY[..., None], 3, axis=2)

# How the eight values of EXIF's orientation turn an image to show it.
_EXIF: dict[int, Callable[[Image], Image]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image),
}


def _saved(image: Pillow.Image | npt.NDArray[Any], form: str, **options: Any) -> Callable[[Path], None]:
    pixels = image if isinstance(image, Pillow.Image) else Pillow.fromarray(image)
    return lambda path: pixels.save(path, form, **options)


def _exif(orientation: int) -> dict[str, Any]:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


_BLACK = Pillow.new("RGB", (64, 48))
_PALETTE = Pillow.fromarray(_IMAGE).quantize(64)


def _tiff(*tags: dict[int, int]) -> Callable[[Path], None]:
    """A TIFF whose first page is the image; the others are of the same size, each with its tags."""

    def write(path: Path) -> None:
        with AppendingTiffWriter(path, new=True) as file:
            for place, each in enumerate(tags):
                page = Pillow.fromarray(_IMAGE) if place == 0 else _BLACK.copy()
                page.save(file, "TIFF", tiffinfo=each)
                file.newFrame()

    return write


def _moving(form: str, **options: Any) -> Callable[[Path], None]:
    return _saved(
        _IMAGE, form, save_all=True, append_images=[_BLACK.copy(), Pillow.fromarray(255 - _IMAGE)], **options
    )


@pytest.mark.parametrize(
    ("name", "write", "shown", "tolerance"),
    [
        ("a.png", _saved(_IMAGE, "PNG"), _IMAGE, 0),
        ("A.PNG", _saved(_IMAGE, "PNG"), _IMAGE, 0),
        ("a.jpg", _saved(_IMAGE, "JPEG", quality=95), _IMAGE, 6),
        ("progressive.jpeg", _saved(_IMAGE, "JPEG", quality=95, progressive=True), _IMAGE, 6),
        ("cmyk.jpg", _saved(Pillow.fromarray(_IMAGE).convert("CMYK"), "JPEG", quality=95), _IMAGE, 8),
        ("gray.jpg", _saved(_GRAY, "JPEG", quality=95), _GRAY_RGB, 3),
        ("gray.png", _saved(_GRAY, "PNG"), _GRAY_RGB, 0),
        ("palette.png", _saved(_PALETTE, "PNG"), np.asarray(_PALETTE.convert("RGB")), 0),
        ("clear palette.png", _saved(_PALETTE, "PNG", transparency=0), None, 0),
        ("two colors.png", _saved(Pillow.fromarray(_GRAY > 99), "PNG"), (_GRAY_RGB > 99) * 255, 0),
        ("16 bits.png", _saved(_GRAY.astype(np.uint16) * 257, "PNG"), _GRAY_RGB, 0),
        ("16 bits.tiff", _saved(_GRAY.astype(np.uint16) * 257, "TIFF"), _GRAY_RGB, 0),
        ("alpha.png", _saved(_ALPHA, "PNG"), over_black(_ALPHA), 0.6),
        ("gray alpha.png", _saved(Pillow.fromarray(_ALPHA).convert("LA"), "PNG"), None, 0.6),
        ("clear color.png", _saved(_IMAGE, "PNG", transparency=(30, 160, 60)), None, 0),
        ("a.tif", _saved(_IMAGE, "TIFF"), _IMAGE, 0),
        ("deflate.tiff", _saved(_IMAGE, "TIFF", compression="tiff_adobe_deflate"), _IMAGE, 0),
        (
            "thumbnail.tiff",
            _saved(_IMAGE, "TIFF", save_all=True, append_images=[_BLACK.resize((9, 9))]),
            _IMAGE,
            0,
        ),
        ("marked.tiff", _tiff({}, {254: 1}, {254: 4}, {255: 2}), _IMAGE, 0),
        ("a.bmp", _saved(_IMAGE, "BMP"), _IMAGE, 0),
        ("a.ppm", _saved(_IMAGE, "PPM"), _IMAGE, 0),
        ("a.pgm", _saved(_GRAY, "PPM"), _GRAY_RGB, 0),
        ("a.webp", _saved(_IMAGE, "WEBP", lossless=True), _IMAGE, 0),
        ("lossy.webp", _saved(_IMAGE, "WEBP", quality=95), _IMAGE, 6),
        ("alpha.webp", _saved(_ALPHA, "WEBP", lossless=True, exact=True), over_black(_ALPHA), 0.6),
        ("phone.jpg", _saved(_IMAGE, "MPO", quality=95, save_all=True, append_images=[_BLACK]), _IMAGE, 6),
        ("webp.jpg", _saved(_IMAGE, "WEBP", lossless=True), _IMAGE, 0),
        ("png.jpg", _saved(_IMAGE, "PNG"), _IMAGE, 0),
        ("gif.png", _saved(_PALETTE, "GIF"), np.asarray(_PALETTE.convert("RGB")), 0),
        ("odd.png", _saved(picture(5, 33, 99), "PNG"), picture(5, 33, 99), 8),
        ("ünï 100%.png", _saved(_IMAGE, "PNG"), _IMAGE, 0),
        *(
            (f"exif {value}.jpg", _saved(_IMAGE, "JPEG", quality=95, **_exif(value)), turn(_IMAGE), 6)
            for value, turn in _EXIF.items()
        ),
        ("exif 6.png", _saved(_IMAGE, "PNG", **_exif(6)), _EXIF[6](_IMAGE), 0),
        ("exif 99.jpg", _saved(_IMAGE, "JPEG", quality=95, **_exif(99)), _IMAGE, 6),
    ],
    ids=lambda value: ascii(value) if isinstance(value, str) else "",
)
def test_an_image_is_one_frame(
    name: str, write: Callable[[Path], None], shown: Image | None, tolerance: float, tmp_path: Path
) -> None:
    write(tmp_path / name)
    if shown is None:
        with Pillow.open(tmp_path / name) as image:
            shown = over_black(np.asarray(image.convert("RGBA")))
    shown = np.ascontiguousarray(shown).astype(np.uint8)
    height, width = shown.shape[:2]
    to = settings(width=width, height=height)

    result = decode(tmp_path / name, to)

    assert result.found.reason == ""
    assert matches(result, Shown([shown], at_rate(1, 1)), to, tolerance) == [0]
    assert result.timestamps == [0]
    facts = result.found.facts
    assert (facts["width"], facts["height"], facts["num_frames"]) == (width, height, 1)


def _huge_png(path: Path) -> None:
    """A file of some bytes whose header asks for 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    parts = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
        for part in (header, data)
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _huge_bmp(path: Path) -> None:
    Pillow.fromarray(_IMAGE).save(path, "BMP")
    path.write_bytes(put(path.read_bytes(), 18, struct.pack("<ii", 60000, 60000)))


def _wide_png(path: Path) -> None:
    Pillow.new("L", (20000, 2)).save(path, "PNG")


def _cut(form: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        Pillow.fromarray(_IMAGE).save(path, form)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return write


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("moving.webp", _moving("WEBP"), "^has 3 frames: make it a GIF, a video, or a folder of images"),
        ("moving.png", _moving("PNG"), "^has 3 frames"),
        ("poster.png", _moving("PNG", default_image=True), "^has 3 frames"),
        ("gif.png", _moving("GIF"), "^has 3 frames"),
        ("pages.tiff", _moving("TIFF"), "^has 3 frames"),
        ("marked.tiff", _tiff({}, {254: 2}, {254: 1}), "^has 2 frames"),
        ("huge.png", _huge_png, "^asks for 60000x60000 pixels|exceeds limit"),
        ("huge.bmp", _huge_bmp, "^asks for 60000x60000 pixels|exceeds limit"),
        ("wide.png", _wide_png, "^asks for 20000x2 pixels"),
        ("half.png", _cut("PNG"), "^cannot be decoded"),
        ("half.jpg", _cut("JPEG"), "^cannot be decoded"),
        ("half.webp", _cut("WEBP"), "^cannot be decoded"),
        ("half.tiff", _cut("TIFF"), "^cannot be decoded"),
        ("half.bmp", _cut("BMP"), "^cannot be decoded"),
        ("empty.png", lambda path: path.write_bytes(b""), "^cannot be decoded"),
        ("text.jpg", lambda path: path.write_text("no image"), "^cannot be decoded"),
        (
            "video.jpg",
            lambda path: path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500)),
            "^cannot be decoded",
        ),
        # Pillow would start Ghostscript for it.
        (
            "script.png",
            lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
            "^cannot",
        ),
    ],
)
def test_a_bad_image_gives_a_reason(
    name: str, write: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    write(tmp_path / name)

    result = decode(tmp_path / name, settings())

    assert re.search(reason, result.found.reason), result.found.reason
    assert str(tmp_path) not in result.found.reason
    assert result.frames == []


def test_a_folder_is_a_clip_of_its_images_in_natural_order(tmp_path: Path) -> None:
    sizes = [(64, 48), (640, 480), (61, 47), (128, 96)]
    for number in range(12):
        width, height = sizes[number % 4]
        form, name = ("PNG", f"img{number}.png") if number % 3 else ("JPEG", f"img{number}.JPG")
        Pillow.fromarray(picture(number, width, height)).save(tmp_path / name, form)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._img1.png").write_bytes(b"\0\5\x16\7")  # As macOS leaves behind on other systems' disks.

    result = decode(tmp_path, settings())

    assert result.found.reason == ""
    assert matches(result, Shown(FRAMES, at_rate(8)), settings(), 12) == list(range(12))
    assert result.timestamps == [number * 125_000 for number in range(12)]
    assert result.found.facts["num_frames"] == 12
    assert result.found.facts["seconds"] == 1.5


def test_names_that_differ_in_zeros_alone_have_one_order(tmp_path: Path) -> None:
    for place, name in enumerate(["1.png", "0001.png", "01.png", "001.png"]):
        Pillow.fromarray(picture(place)).save(tmp_path / name)

    result = decode(tmp_path, settings())

    assert matches(result, Shown(FRAMES, at_rate(8)), settings(), 0) == [1, 3, 2, 0]


def test_a_part_of_a_folder(tmp_path: Path) -> None:
    for number in range(12):
        Pillow.fromarray(picture(number)).save(tmp_path / f"{number}.png")

    result = decode(tmp_path, settings(), "0.5", "1.25")

    assert matches(result, Shown(FRAMES, at_rate(8)), settings(), 0) == list(range(4, 10))
    assert result.timestamps[0] == 500_000


def test_a_bad_image_of_a_folder_is_named(tmp_path: Path) -> None:
    for number in range(4):
        Pillow.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    content = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(content[:100])

    result = decode(tmp_path, settings())

    assert result.found.reason.startswith("its image 2.png cannot be decoded")
    assert result.found.is_damaged
    assert matches(result, Shown(FRAMES, at_rate(8)), settings(), 0) == [0, 1]


def test_an_animated_gif_is_drawn_over_its_frames(tmp_path: Path) -> None:
    """Partial frames, transparency, and what is cleared after a frame."""
    frames = []
    for place, disposal in enumerate((1, 2, 1, 1)):
        pixels = np.zeros((48, 64, 4), np.uint8)
        pixels[:, 16 * place : 16 * place + 16] = (60 * place + 40, 0, 200, 255)
        frames.append((Pillow.fromarray(pixels), disposal))
    first, *others = [frame for frame, _ in frames]
    first.save(
        tmp_path / "a.gif",
        save_all=True,
        append_images=others,
        duration=125,
        disposal=[disposal for _, disposal in frames],
    )

    with Pillow.open(tmp_path / "a.gif") as image:
        drawn = [over_black(np.asarray(frame.convert("RGBA"))) for frame in ImageSequence.Iterator(image)]
    assert len({frame.tobytes() for frame in drawn}) == 4

    result = decode(tmp_path / "a.gif", settings())

    assert result.found.reason == ""
    assert matches(result, Shown(drawn, at_rate(8, 4)), settings(), 0) == [0, 1, 2, 3]
