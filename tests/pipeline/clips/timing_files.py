"""Good files whose frames come at odd times, in an odd order, or with headers that are wrong about them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from tests.pipeline.clips.files import (
    B_FRAMES,
    FRAMES,
    MJPEG,
    MPEG,
    NTSC,
    VPX,
    X265,
    Good,
    Shown,
    Video,
    Write,
    at_rate,
    changed,
    good,
    inside,
    pictures,
    put,
)

_OPEN = {"bf": "3", "x264-params": "open-gop=1:keyint=10:min-keyint=10:b-adapt=0:scenecut=0"}
_STEPS = [20, 180, 33, 34, 250, 4, 125, 62, 63, 40]
_VARIABLE = [Fraction(int(time), 1000) for time in np.cumsum([0, *_STEPS * 3])[:30]]


def _wrong_durations(content: bytes) -> bytes:
    """The durations of an mp4, of its track and of its media become a hundred times longer."""
    for box, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        place = inside(content, box) + offset
        (duration,) = struct.unpack_from(">I", content, place)
        content = put(content, place, struct.pack(">I", duration * 100))
    return content


def _wrong_counts(content: bytes) -> bytes:
    """Both headers of an AVI say that it has 7 frames."""
    content = put(content, inside(content, b"avih") + 4 + 16, struct.pack("<I", 7))
    return put(content, inside(content, b"strh") + 4 + 32, struct.pack("<I", 7))


def _skips_the_start(content: bytes) -> bytes:
    """The edit list of an mp4 skips 0.2 s more."""
    place = inside(content, b"elst") + 4
    (count,) = struct.unpack_from(">I", content, place)
    (ticks,) = struct.unpack_from(">I", content, inside(content, b"mdhd") + 12)
    begins_at = place + 4 + 12 * (count - 1) + 4
    (begin,) = struct.unpack_from(">i", content, begins_at)
    return put(content, begins_at, struct.pack(">i", begin + ticks // 5))


def _joined(*videos: Video) -> Write:
    """Writes MPEG streams one after the other into one file, as people join them."""

    def write(path: Path) -> None:
        parts = []
        for video in videos:
            video(path)
            parts.append(path.read_bytes())
        path.write_bytes(b"".join(parts))

    return write


def _cut_start(content: bytes) -> bytes:
    """A transport stream from its sixth frame on, with the tables of its streams, as a recording begins."""
    packets = [content[place : place + 188] for place in range(0, len(content), 188)]
    begins = [number for number, packet in enumerate(packets) if packet[1:3] == b"\x41\x00"]
    return b"".join(packets[:3] + packets[begins[5] :])


def _gif(frames: Sequence[np.ndarray], milliseconds: Sequence[int] | int, **more: object) -> Write:
    def write(path: Path) -> None:
        first, *others = [Pillow.fromarray(frame).quantize(64) for frame in frames]
        first.save(path, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0, **more)

    return write


def _ms(*times: int) -> list[Fraction]:
    return [Fraction(time, 1000) for time in times]


_GIF_TIMES = _ms(0, 100, 130, 500, 1000, 1100, 1110, 1200)
_FOUR = pictures(4)

FILES = [
    *(
        good(f"{float(rate):g} frames a second.{suffix}", Video(rate=rate, frames=pictures(60)), ticks=ticks)
        for rate in (1, 5, 8, 24, Fraction(24000, 1001), NTSC, 30, 50, Fraction(60000, 1001), 60, 240)
        for suffix, ticks in (("mp4", None), ("mkv", 1000))
    ),
    good("25 frames a second, 7 chosen.mp4", Video(frames=pictures(60)), changes={"fps": Fraction(7)}),
    good("30 frames a second, all chosen.mp4", Video(rate=30), changes={"fps": Fraction(30)}),
    good("ntsc, all chosen.mp4", Video(rate=NTSC, options=B_FRAMES), changes={"fps": NTSC}),
    good("variable.mp4", Video(times=_VARIABLE, options=B_FRAMES)),
    good("variable.mkv", Video(times=_VARIABLE)),
    good("variable.flv", Video(times=_VARIABLE)),
    good("variable.ts", Video(times=_VARIABLE, ticks=90000)),
    good("variable.webm", Video("libvpx-vp9", times=_VARIABLE, options=VPX)),
    good("late.ts", Video(times=at_rate(25, first=10), ticks=90000, container={"muxdelay": "0"})),
    good("late.mp4", Video(times=at_rate(25, first=10), sound=True)),
    good("late.mkv", Video(times=at_rate(25, first=10), sound=True)),
    good(
        "negative.mp4",
        Video(options=B_FRAMES, container={"movflags": "negative_cts_offsets", "use_editlist": "0"}),
    ),
    good("late by B-frames.mp4", Video(options=B_FRAMES, container={"use_editlist": "0"})),
    Good("skips its start.mp4", changed(Video(), _skips_the_start), Shown(FRAMES[5:], at_rate(25, 25))),
    Good(
        "skips its start, B-frames.mp4",
        changed(Video(options=B_FRAMES), _skips_the_start),
        Shown(FRAMES[5:], at_rate(25, 25)),
    ),
    *(
        good(f"B-frames.{suffix}", Video(options=B_FRAMES))
        for suffix in ("mp4", "mkv", "ts", "flv", "mov", "avi")
    ),
    *(good(f"open groups.{suffix}", Video(options=_OPEN)) for suffix in ("mp4", "mkv", "ts")),
    good("open groups hevc.mp4", Video("libx265", options={**X265, "preset": "superfast"})),
    good("no frame twice the same.mp4", Video(options={"x264-params": "keyint=1"})),
    good("one key frame.mp4", Video(frames=pictures(60), options={"x264-params": "keyint=infinite"})),
    good(
        "hidden frames.webm",
        Video(
            "libvpx",
            frames=pictures(60),
            options={**VPX, "auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"},
        ),
    ),
    good("wrong durations.mp4", Video(), change=_wrong_durations),
    good("wrong counts.avi", Video("mjpeg", "yuvj420p", options=MJPEG), change=_wrong_counts),
    good("one frame.mp4", Video(frames=FRAMES[:1])),
    good("one frame.mkv", Video(frames=FRAMES[:1])),
    good("one frame.ts", Video(frames=FRAMES[:1])),
    good("two frames.mp4", Video(frames=FRAMES[:2])),
    good("two frames.avi", Video("mjpeg", "yuvj420p", frames=FRAMES[:2], options=MJPEG)),
    Good(
        "joined.mpg",
        _joined(
            Video("mpeg2video", frames=pictures(60)[:30], options=MPEG),
            Video("mpeg2video", frames=pictures(60)[30:], options=MPEG),
        ),
        Shown(pictures(60), at_rate(25, 60)),
    ),
    Good(
        "joined, of two sizes.mjpeg",
        _joined(
            Video("mjpeg", "yuvj420p", frames=FRAMES[:15], options=MJPEG),
            Video("mjpeg", "yuvj420p", frames=pictures(30, 128, 96)[15:], options=MJPEG),
        ),
        Shown(FRAMES, at_rate(25)),
    ),
    Good(
        "begins in a group.ts",
        changed(Video(options={"x264-params": "keyint=12:min-keyint=12:scenecut=0"}), _cut_start),
        Shown(FRAMES[12:], at_rate(25, 18)),
    ),
    Good(
        "begins in an open group.ts",
        changed(Video(options=_OPEN), _cut_start),
        Shown(FRAMES[10:], at_rate(25, 20)),
    ),
    Good(
        "begins in a group mpeg2.ts",
        changed(Video("mpeg2video", options={**MPEG, "g": "12"}), _cut_start),
        Shown(FRAMES[12:], at_rate(25, 18)),
    ),
    Good(
        "begins in a group hevc.ts",
        changed(Video("libx265", options=X265), _cut_start),
        Shown(FRAMES[12:], at_rate(25, 18)),
    ),
    Good(
        "gif.gif",
        _gif(pictures(8), [100, 30, 370, 500, 100, 10, 90, 100]),
        Shown(pictures(8), _GIF_TIMES),
        tolerance=8,
    ),
    Good("still.gif", _gif(FRAMES[:1], 100), Shown(FRAMES[:1], _ms(0)), tolerance=8),
    Good("no times.gif", _gif(_FOUR, 0), Shown(_FOUR, at_rate(10, 4)), tolerance=8),
]
