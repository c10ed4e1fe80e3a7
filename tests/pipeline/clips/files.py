"""Makes small videos whose frames say which they are, and what decoding should give of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from pipeline.clips.decoder_process import Decoded, Segment, decode_clip
from pipeline.clips.frame_files import decode_frame
from pipeline.clips.frame_settings import FrameSettings

Image = npt.NDArray[np.uint8]
Times = Sequence[Fraction]
Write = Callable[[Path], None]

COUNT = 30


def picture(number: int, width: int = 64, height: int = 48) -> Image:
    """A frame, uint8 (height, width, 3), that shows its number as six black and white blocks, and as a gray.

    Its other parts differ from side to side, so that a turned or mirrored one is told apart.
    """
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32], image[:24, 32:] = (200, 40, 40), (40, 60, 200)
    for bit in range(6):
        image[24:40, 8 * bit : 8 * bit + 8] = 230 if number >> bit & 1 else 20
    image[24:40, 48:] = (30, 160, 60)
    image[40:] = 40 + 3 * number
    rows, columns = np.arange(height) * 48 // height, np.arange(width) * 64 // width
    return np.ascontiguousarray(image[rows][:, columns])


def pictures(count: int = COUNT, width: int = 64, height: int = 48) -> list[Image]:
    return [picture(number, width, height) for number in range(count)]


FRAMES = pictures()


def at_rate(rate: Fraction | int, count: int = COUNT, first: Fraction | int = 0) -> list[Fraction]:
    """Times of frames of a constant rate."""
    return [first + number / Fraction(rate) for number in range(count)]


def settings(**changes: Any) -> FrameSettings:
    """Settings whose stored frames lose nothing."""
    given: dict[str, Any] = {
        "fps": Fraction(8),
        "width": 64,
        "height": 48,
        "fit": "pad",
        "channels": 3,
        "encoding": "png",
        "jpeg_quality": 90,
        "max_frames": 1000,
    }
    return FrameSettings(**{**given, **changes})


@dataclass(frozen=True)
class Shown:
    """What a clip shows.

    Attributes:
        frames: of each frame, how it is shown, with square pixels.
        times: when, in seconds, from any zero.
    """

    frames: Sequence[Image]
    times: Times


def choose(
    times: Times, fps: Fraction, start: Fraction = Fraction(0), end: Fraction | None = None
) -> list[int]:
    """The frames to choose: that which is shown at each time ``start + k / fps`` from the first frame on."""
    begins = [time - times[0] for time in times]
    last = begins[-1] + (begins[-1] - begins[-2] if len(begins) > 1 else Fraction(1, 10**6))
    end = last if end is None else min(end, last)
    asked = [start + number / fps for number in range(max(0, math.ceil((end - start) * fps)))]
    return [max(place for place, begin in enumerate(begins) if begin <= time) for time in asked if time < end]


def fitted(image: Image, to: FrameSettings) -> npt.NDArray[np.float64]:
    """An image as it is stored, computed by Pillow."""
    height, width = image.shape[:2]
    scales = to.width / width, to.height / height
    scale = max(scales) if to.fit == "crop" else min(scales)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.BOX))
    canvas = np.zeros((to.height, to.width, 3))
    (top, into_top), (left, into_left) = (
        ((have - want) // 2, 0) if have >= want else (0, (want - have) // 2)
        for have, want in ((size[1], to.height), (size[0], to.width))
    )
    part = small[top : top + to.height, left : left + to.width]
    canvas[into_top : into_top + part.shape[0], into_left : into_left + part.shape[1]] = part
    return canvas


@dataclass(frozen=True)
class Result:
    """What decoding gave: the stored frames' bytes and times, and the findings."""

    frames: list[bytes]
    timestamps: list[int]
    found: Decoded


def decode(path: Path, to: FrameSettings, start: str | None = None, end: str | None = None) -> Result:
    """Decode a clip in this process."""
    return gathered(list(decode_clip(str(path), to, start, end)))


def gathered(parts: Sequence[Segment | Decoded]) -> Result:
    segments = [part for part in parts[:-1] if isinstance(part, Segment)]
    assert len(segments) == len(parts) - 1
    found = parts[-1]
    assert isinstance(found, Decoded)
    return Result(
        [frame for segment in segments for frame in segment.frames],
        [time for segment in segments for time in segment.timestamps],
        found,
    )


def matches(result: Result, shown: Shown, to: FrameSettings, tolerance: float) -> list[int]:
    """Of each frame that was decoded, which of those shown it is; -1 if it is like none of them.

    Args:
        tolerance: largest mean difference of a decoded frame from that which is shown, in gray levels.
    """
    candidates = np.stack([fitted(frame, to) for frame in shown.frames])
    numbers = []
    for content in result.frames:
        pixels = decode_frame(content, (to.height, to.width, 3)).astype(float)
        distances = np.abs(candidates - pixels).mean(axis=(1, 2, 3))
        nearest = int(distances.argmin())
        numbers.append(nearest if distances[nearest] <= tolerance else -1)
    return numbers


@dataclass(frozen=True)
class Video:
    """A file of video to write.

    Attributes:
        frames: as they are encoded.
        times: when each is shown, in seconds; None: at the rate.
        form: the container's format; None: by the file's name.
        options: of the encoder.
        tags: attributes of the encoder, such as its aspect of pixels or its color range.
        matrix: arguments of `set_display_rotation`: degrees, and flips.
        planar: gives the encoder's frame of a picture; None: conversion by swscale (BT.601, limited range).
        sound: whether there is a stream of sound, too.
    """

    codec: str = "libx264"
    pixels: str = "yuv420p"
    rate: Fraction | int = 25
    frames: Sequence[Image] = field(default_factory=lambda: FRAMES)
    times: Times | None = None
    ticks: int = 1000
    form: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    container: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    matrix: tuple[Any, ...] | None = None
    planar: Callable[[Image], av.VideoFrame] | None = None
    sound: bool = False

    def __call__(self, path: Path) -> None:
        """Write it."""
        with av.open(str(path), "w", format=self.form, container_options=dict(self.container)) as container:
            base = {"crf": "10", "preset": "veryfast"} if self.codec == "libx264" else {}
            stream = container.add_stream(
                self.codec, rate=Fraction(self.rate), options={**base, **self.options}
            )
            stream.height, stream.width = self.frames[0].shape[:2]
            stream.pix_fmt = self.pixels
            context = stream.codec_context
            context.thread_count = 1
            if self.times is not None:
                context.time_base = Fraction(1, self.ticks)
            for name, value in self.tags.items():
                setattr(context, name, value)
            if self.matrix is not None:
                stream.set_display_rotation(*self.matrix)
            if self.sound:
                add_sound(container)
            for number, image in enumerate(self.frames):
                frame = self.planar(image) if self.planar else _converted(image, self.pixels)
                if self.times is None:
                    frame.pts, frame.time_base = number, 1 / Fraction(self.rate)
                else:
                    frame.pts, frame.time_base = round(self.times[number] * self.ticks), context.time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def _converted(image: Image, pixels: str) -> av.VideoFrame:
    form = "rgba" if image.shape[2] == 4 else "rgb24"
    frame = av.VideoFrame.from_ndarray(image, form)
    return frame if pixels == form else frame.reformat(format=pixels, interpolation="AREA")


def add_sound(container: Any) -> None:
    """Half a second of silence, as a second stream."""
    sound = container.add_stream("pcm_s16le" if container.format.name == "avi" else "aac", rate=44100)
    frame = av.AudioFrame(format="fltp" if sound.codec.name == "aac" else "s16", layout="mono", samples=1024)
    frame.sample_rate = 44100
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    for number in range(20):
        frame.pts, frame.time_base = 1024 * number, Fraction(1, 44100)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


@dataclass(frozen=True)
class Good:
    """A good file.

    Attributes:
        name: of the file.
        write: writes it.
        shown: what it shows.
        tolerance: see `matches`.
        facts: what must be found out about it, of `pipeline.clips.decoding.Facts`.
        changes: of the settings.
    """

    name: str
    write: Write
    shown: Shown
    tolerance: float = 6
    facts: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)


def good(
    name: str,
    video: Video,
    *,
    show: Callable[[Image], Image] | None = None,
    change: Callable[[bytes], bytes] | None = None,
    ticks: int | None = None,
    **more: Any,
) -> Good:
    """A video.

    Args:
        show: gives a frame as it is shown, where that differs from how it is encoded.
        change: changes the written file's bytes.
        ticks: a second's, to which the container rounds times; None: it does not.
        more: of `Good`.
    """
    frames = [show(frame) for frame in video.frames] if show else video.frames
    times = video.times or at_rate(video.rate, len(video.frames))
    shown = Shown(
        frames,
        [Fraction(math.floor(time * ticks + Fraction(1, 2)), ticks) for time in times] if ticks else times,
    )
    return Good(name, video if change is None else changed(video, change), shown, **more)


def changed(write: Write, change: Callable[[bytes], bytes]) -> Write:
    """Writes a file and then changes its bytes."""

    def write_changed(path: Path) -> None:
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return write_changed


def inside(content: bytes, box: bytes) -> int:
    """Where in an mp4 the content of its first box of a name begins."""
    return content.index(box) + 4


def put(content: bytes, place: int, new: bytes) -> bytes:
    """Bytes with others in their place."""
    return content[:place] + new + content[place + len(new) :]


# Options with which encoders are quick and keep what is shown.
X265 = {"preset": "ultrafast", "x265-params": "crf=10:log-level=none:pools=none:keyint=12"}
VPX = {"crf": "6", "b": "2M", "cpu-used": "8", "deadline": "realtime"}
AV1 = {"crf": "20", "preset": "12", "svtav1-params": "lp=1"}
MPEG = {"b": "4M", "qmin": "1"}
MJPEG = {"b": "20M", "qmin": "1"}
B_FRAMES = {"bf": "3", "x264-params": "keyint=12:b-pyramid=normal:b-adapt=0"}
NTSC = Fraction(30000, 1001)
