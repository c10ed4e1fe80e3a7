"""Scales, turns and cuts the frames of a source to the size of stored frames, as RGB.

All arithmetic is exact, so that the same source gives the same pixels on every machine: swscale's area
filter with its flags for exact rounding, and sizes computed in fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av import VideoFrame
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from pipeline.clips.errors import BadClipError
from pipeline.clips.frame_settings import MAX_PIXELS, FrameSettings

Image = npt.NDArray[np.uint8]

EXACT = (
    Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
)


class FrameFitter:
    """Makes stored frames of decoded ones.

    Args:
        settings: size and fit of the stored frames.
        aspect: width of a source's pixel divided by its height.
    """

    def __init__(self, settings: FrameSettings, aspect: Fraction = Fraction(1)) -> None:
        self._settings, self._aspect = settings, aspect
        self._reformatter = VideoReformatter()
        self._fields: tuple[tuple[int, int, str], Graph] | None = None
        self._size: tuple[tuple[int, int, bool], tuple[int, int]] | None = None

    def fit(self, frame: VideoFrame, degrees: int = 0, is_mirrored: bool = False) -> Image:
        """A stored frame, uint8 (height, width, 3).

        Of an interlaced frame, the top field is taken: both together would show two moments as a comb. Alpha
        is flattened over black.

        Args:
            frame: a decoded frame.
            degrees: how far it is turned counterclockwise to be shown: 0, 90, 180 or 270.
            is_mirrored: whether it is mirrored left to right before it is turned.

        Raises:
            BadClipError: if its shape is so extreme that scaling would take too much memory.
        """
        size = self._scaled_size(frame.width, frame.height, degrees % 180 == 0)
        if frame.interlaced_frame and frame.height > 1:
            frame = self._top_field(frame)
        if size[0] * size[1] > MAX_PIXELS:
            raise BadClipError(f"a shape of {frame.width}x{frame.height} cannot be fitted")
        planes = self._to_rgb(frame, *size)
        if is_mirrored:
            planes = [plane[:, ::-1] for plane in planes]
        return self._cut([np.rot90(plane, degrees // 90) for plane in planes])

    def fit_rgb(self, image: Image) -> Image:
        """A stored frame of an image, uint8 (h, w, 3)."""
        return self.fit(VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"))

    def _scaled_size(self, width: int, height: int, is_upright: bool) -> tuple[int, int]:
        """Size to which a frame of a size is scaled, before it is turned; that of the last frame is kept."""
        form = width, height, is_upright
        if self._size is None or self._size[0] != form:
            display = width * self._aspect, Fraction(height)
            wide, high = self._scaled(*(display if is_upright else display[::-1]))
            self._size = form, (wide, high) if is_upright else (high, wide)
        return self._size[1]

    def _scaled(self, width: Fraction, height: Fraction) -> tuple[int, int]:
        """Size of the whole frame after scaling, of its size as shown."""
        settings = self._settings
        scales = settings.width / width, settings.height / height
        if settings.fit == "crop":
            scale = max(scales)
            wide, high = _rounded(width * scale), _rounded(height * scale)
            return max(settings.width, wide), max(settings.height, high)
        scale = min(scales)
        return (
            min(settings.width, max(1, _rounded(width * scale))),
            min(settings.height, max(1, _rounded(height * scale))),
        )

    def _to_rgb(self, frame: VideoFrame, width: int, height: int) -> list[Image]:
        """Red, green and blue of a scaled frame, uint8 (height, width) each."""
        if any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8":
            color = np.asarray(self._reformat(frame, None, None, "rgba").to_ndarray(), np.uint8)
            frame = VideoFrame.from_ndarray(flatten(color), "rgb24")
        made = self._reformat(frame, width, height, "gbrp")  # Twice as fast as to rgb24.
        green, blue, red = (
            np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)[:, :width]
            for plane in made.planes
        )
        return [red, green, blue]

    def _reformat(self, frame: VideoFrame, width: int | None, height: int | None, pixels: str) -> VideoFrame:
        # Threads only cost time at these sizes: every core has a process of its own.
        return self._reformatter.reformat(frame, width, height, pixels, interpolation=EXACT, threads=1)

    def _cut(self, planes: Sequence[Image]) -> Image:
        """A stored frame of its colors: what of them is in its middle, and black around them."""
        image = np.zeros((self._settings.height, self._settings.width, 3), np.uint8)
        rows, shown_rows = _middles(image.shape[0], planes[0].shape[0])
        columns, shown_columns = _middles(image.shape[1], planes[0].shape[1])
        for color, plane in enumerate(planes):
            image[rows, columns, color] = plane[shown_rows, shown_columns]
        return image

    def _top_field(self, frame: VideoFrame) -> VideoFrame:
        form = frame.width, frame.height, frame.format.name
        if self._fields is None or self._fields[0] != form:
            graph = Graph()
            source = graph.add_buffer(
                width=form[0], height=form[1], format=form[2], time_base=Fraction(1, 1000)
            )
            field, sink = graph.add("field", "type=top"), graph.add("buffersink")
            source.link_to(field)
            field.link_to(sink)
            graph.configure()
            self._fields = form, graph
        graph = self._fields[1]
        graph.push(frame)
        made = graph.pull()
        assert isinstance(made, VideoFrame)
        return made


def flatten(image: Image) -> Image:
    """An image with alpha, uint8 (h, w, 4), over black: uint8 (h, w, 3)."""
    color, alpha = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    flat: Image = ((color * alpha + 127) // 255).astype(np.uint8)
    return flat


def _middles(one: int, other: int) -> tuple[slice, slice]:
    """The middles of two lengths, as long as the shorter one."""
    count = min(one, other)
    first, second = (one - count) // 2, (other - count) // 2
    return slice(first, first + count), slice(second, second + count)


def _rounded(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))
