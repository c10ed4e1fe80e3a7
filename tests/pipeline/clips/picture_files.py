"""Good files with frames that are turned, of odd shapes and colors, transparent, or interlaced."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph

from tests.pipeline.clips.files import (
    AV1,
    FRAMES,
    MJPEG,
    MPEG,
    VPX,
    X265,
    Good,
    Image,
    Shown,
    Video,
    at_rate,
    good,
    picture,
    pictures,
)


def _turned(degrees: int, mirrored: bool, flipped: bool) -> Good:
    """Turned counterclockwise, and then mirrored left to right or top to bottom."""

    def show(image: Image) -> Image:
        turned = np.rot90(image, degrees // 90)
        return np.ascontiguousarray(turned[:: -1 if flipped else 1, :: -1 if mirrored else 1])

    width, height = (48, 64) if degrees % 180 else (64, 48)
    name = f"turned {degrees}{' mirrored' * mirrored}{' flipped' * flipped}.mp4"
    video = Video(matrix=(degrees, mirrored, flipped))
    return good(name, video, show=show, facts={"width": width, "height": height})


def planar(matrix: str, full: bool = False, depth: int = 8) -> Callable[[Image], av.VideoFrame]:
    """Makes frames of 4:4:4 by the formulas of ITU-R BT.601, BT.709 and BT.2020."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[matrix]

    def convert(image: Image) -> av.VideoFrame:
        color = image / 255
        luma = red * color[..., 0] + (1 - red - blue) * color[..., 1] + blue * color[..., 2]
        chroma = [(color[..., 2] - luma) / (2 - 2 * blue), (color[..., 0] - luma) / (2 - 2 * red)]
        scale, top = 2 ** (depth - 8), 2**depth - 1
        if full:
            planes = [luma * top, *(part * top + 128 * scale for part in chroma)]
        else:
            planes = [(16 + 219 * luma) * scale, *((128 + 224 * part) * scale for part in chroma)]
        frame = av.VideoFrame(image.shape[1], image.shape[0], f"yuv444p{'10le' if depth == 10 else ''}")
        for plane, values in zip(frame.planes, planes, strict=True):
            size = 2 if depth == 10 else 1
            rows = np.zeros((plane.height, plane.line_size // size), f"<u{size}")
            rows[:, : plane.width] = values.round().clip(0, top)
            plane.update(rows.tobytes())
        return frame

    return convert


_SPACES = {"bt709": 1, "bt601": 6, "bt2020": 9}


def _colored(
    name: str, matrix: str, *, tagged: bool, full: bool = False, depth: int = 8, **video: Any
) -> Good:
    tags = {"colorspace": _SPACES[matrix], "color_range": 2 if full else 1} if tagged else {}
    given = {"codec": "ffv1", "pixels": "yuv444p" if depth == 8 else "yuv444p10le", **video}
    return good(
        name, Video(planar=planar(matrix, full, depth), tags=tags, **given), tolerance=4 if video else 2
    )


def _with_alpha(image: Image) -> Image:
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    alpha[:, :16], alpha[:, 16:32] = 0, 128
    return np.concatenate([image, alpha], axis=2)


def over_black(image: Image) -> Image:
    """An image with alpha over black."""
    return (image[..., :3] * (image[..., 3:] / 255)).round().astype(np.uint8)


_ALPHA = [_with_alpha(frame) for frame in FRAMES]


def _top_only(image: Image) -> Image:
    """A frame whose top field is the picture; the bottom field is white."""
    mixed = np.full_like(image, 255)
    mixed[::2] = image[::2]
    return mixed


def _interlaced(pixels: str) -> Callable[[Image], av.VideoFrame]:
    def convert(image: Image) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixels)
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        mark, sink = graph.add("setfield", "tff"), graph.add("buffersink")
        source.link_to(mark)
        mark.link_to(sink)
        graph.configure()
        graph.push(frame)
        made = graph.pull()
        assert isinstance(made, av.VideoFrame)
        return made

    return convert


def _combed(name: str, codec: str, pixels: str, **video: Any) -> Good:
    frames = [_top_only(picture(number, 64, 96)) for number in range(30)]
    made = Video(codec, pixels, frames=frames, planar=_interlaced(pixels), **video)
    return Good(name, made, Shown(pictures(30, 64, 96), at_rate(25)), tolerance=8)


def _gray(image: Image) -> Image:
    luma = (image @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    return np.repeat(luma[..., None], 3, axis=2)


def _aspect(name: str, width: int, aspect: Fraction, **video: Any) -> Good:
    """Frames that are stored narrower or wider than they are shown."""
    made = Video(frames=pictures(30, width, 48), tags={"sample_aspect_ratio": aspect}, **video)
    return Good(name, made, Shown(FRAMES, at_rate(25)), facts={"width": 64, "height": 48})


_FIELDS = {**MPEG, "flags": "+ildct+ilme"}

FILES = [
    *(
        _turned(*each)
        for each in (
            (90, False, False),
            (180, False, False),
            (270, False, False),
            (0, True, False),
            (0, False, True),
            (90, True, False),
            (270, True, False),
        )
    ),
    _aspect("narrow pixels.mp4", 128, Fraction(1, 2)),
    _aspect("wide pixels.mkv", 32, Fraction(2)),
    _aspect("wide pixels.mpg", 48, Fraction(4, 3), codec="mpeg2video", options=MPEG),
    _aspect("wide pixels.avi", 32, Fraction(2), codec="mpeg4", options=MPEG),
    good("odd size.webm", Video("libvpx-vp9", frames=pictures(30, 61, 47), options=VPX), tolerance=8),
    good("odd size.mkv", Video("ffv1", frames=pictures(30, 33, 77)), tolerance=8),
    good("odd size.mp4", Video("libx264", "yuv444p", frames=pictures(30, 67, 51)), tolerance=8),
    good("odd size.avi", Video("mjpeg", "yuvj420p", frames=pictures(30, 63, 47), options=MJPEG), tolerance=8),
    good("tall.mp4", Video(frames=pictures(30, 32, 200)), changes={"fit": "crop"}, tolerance=8),
    good("wide.mp4", Video(frames=pictures(30, 320, 48)), changes={"fit": "crop"}),
    good(
        "large.mp4", Video(frames=pictures(30, 640, 480)), changes={"width": 40, "height": 40, "fit": "crop"}
    ),
    good("10 bits.mp4", Video(pixels="yuv420p10le")),
    good("10 bits.mkv", Video("ffv1", "yuv420p10le")),
    good("10 bits hevc.mp4", Video("libx265", "yuv420p10le", options=X265)),
    good("10 bits av1.mp4", Video("libsvtav1", "yuv420p10le", options=AV1)),
    good("12 bits.mkv", Video("ffv1", "yuv422p12le")),
    good("16 bits.mkv", Video("ffv1", "gbrp16le"), tolerance=0.6),
    good("4:2:2.mp4", Video(pixels="yuv422p")),
    good("4:4:4.mp4", Video(pixels="yuv444p")),
    _colored("bt601.mkv", "bt601", tagged=True),
    _colored("bt709.mkv", "bt709", tagged=True),
    _colored("untagged.mkv", "bt601", tagged=False),
    _colored("bt601 full.mkv", "bt601", tagged=True, full=True),
    _colored("bt709 full.mkv", "bt709", tagged=True, full=True),
    _colored("bt709.mp4", "bt709", tagged=True, codec="libx264"),
    _colored("bt709 full.mp4", "bt709", tagged=True, full=True, codec="libx264"),
    _colored("untagged.mp4", "bt601", tagged=False, codec="libx264"),
    _colored("bt709 10 bits.mkv", "bt709", tagged=True, depth=10),
    _colored("bt2020 10 bits.mp4", "bt2020", tagged=True, depth=10, codec="libx264"),
    good("rgb.mkv", Video("ffv1", "bgr0"), tolerance=0.5),
    good("rgb.mp4", Video("libx264rgb", "rgb24", options={"crf": "4"})),
    good("gray.mkv", Video("ffv1", "gray"), show=_gray),
    good("gray.mp4", Video(pixels="gray", tags={"color_range": 2}), show=_gray),
    good("gray 16 bits.mkv", Video("ffv1", "gray16le"), show=_gray),
    good("alpha.mkv", Video("ffv1", "bgra", frames=_ALPHA), show=over_black, tolerance=0.6),
    good("alpha yuv.mkv", Video("ffv1", "yuva444p", frames=_ALPHA), show=over_black, tolerance=2),
    good("alpha.mov", Video("prores_ks", "yuva444p10le", frames=_ALPHA), show=over_black),
    good("alpha png.mov", Video("png", "rgba", frames=_ALPHA), show=over_black, tolerance=0.6),
    good("alpha animation.mov", Video("qtrle", "argb", frames=_ALPHA), show=over_black, tolerance=0.6),
    _combed("interlaced.mpg", "mpeg2video", "yuv422p", options=_FIELDS),
    _combed("interlaced.mp4", "libx264", "yuv422p", options={"x264-params": "tff=1"}),
    _combed("interlaced.mkv", "ffv1", "yuv444p"),
]
