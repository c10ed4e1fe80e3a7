"""Good files of every container and codec that people have, and of streams besides the video."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image as Pillow

from tests.pipeline.clips.files import (
    AV1,
    FRAMES,
    MJPEG,
    MPEG,
    NTSC,
    VPX,
    X265,
    Good,
    Image,
    Shown,
    Video,
    at_rate,
    good,
    pictures,
)


def _with_cover(path: Path) -> None:
    """An mp4 whose first stream is a picture attached to it."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("png", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        video = _video(container)
        _encode(container, cover, [_COVER])
        _encode(container, video, FRAMES)


def _with_attachment(path: Path) -> None:
    """An mkv with the same as an attachment."""
    png = io.BytesIO()
    Pillow.fromarray(_COVER).save(png, "PNG")
    with av.open(str(path), "w") as container:
        container.add_attachment("cover.png", "image/png", png.getvalue())
        _encode(container, _video(container), FRAMES)


def _two_videos(path: Path) -> None:
    """A file with two videos, of which the first counts."""
    with av.open(str(path), "w") as container:
        first, second = _video(container), _video(container)
        _encode(container, second, [255 - frame for frame in FRAMES])
        _encode(container, first, FRAMES)


def _video(container: Any) -> Any:
    stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _encode(container: Any, stream: Any, frames: list[Image]) -> None:
    for number, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


_COVER = np.full((48, 64, 3), 99, np.uint8)
_SHOWN = Shown(FRAMES, at_rate(25))
_B = {**MPEG, "bf": "2"}

FILES = [
    good("h264.mp4", Video(), facts={"codec": "h264", "width": 64, "height": 48, "num_frames": 30}),
    good("h264.mov", Video(sound=True)),
    good("h264.mkv", Video()),
    good("h264.ts", Video(sound=True)),
    good("h264.m2ts", Video(form="mpegts", container={"mpegts_m2ts_mode": "1"})),
    good("h264.flv", Video(sound=True)),
    good("h264.3gp", Video()),
    good("h264.f4v", Video()),
    good("h264 without B-frames.avi", Video(options={"bf": "0"}, sound=True)),
    good("fragmented.mp4", Video(container={"movflags": "frag_keyframe+empty_moov"})),
    good("faststart.mp4", Video(container={"movflags": "faststart"})),
    good("live.mkv", Video(container={"live": "1"})),
    good("hevc.mp4", Video("libx265", options=X265), facts={"codec": "hevc"}),
    good("hevc.mkv", Video("libx265", options=X265)),
    good("hevc.ts", Video("libx265", options=X265)),
    good("vp8.webm", Video("libvpx", options=VPX), facts={"codec": "vp8"}),
    good("vp8.ogv", Video("libvpx", options=VPX, form="ogg")),
    good("vp9.webm", Video("libvpx-vp9", options=VPX), facts={"codec": "vp9"}),
    good("vp9.mp4", Video("libvpx-vp9", options=VPX)),
    good("av1.mp4", Video("libsvtav1", options=AV1)),
    good("av1.webm", Video("libsvtav1", options=AV1)),
    good("mpeg1.mpg", Video("mpeg1video", options=MPEG)),
    good("mpeg2.mpg", Video("mpeg2video", options=_B)),
    good("mpeg2.vob", Video("mpeg2video", options=_B, form="vob")),
    good("mpeg2.ts", Video("mpeg2video", options=_B)),
    good("mpeg2.mxf", Video("mpeg2video", options=MPEG)),
    good("mpeg2.m2v", Video("mpeg2video", options=MPEG)),
    good("mpeg4.avi", Video("mpeg4", options=_B, sound=True)),
    good("mpeg4.mp4", Video("mpeg4", options=_B)),
    good("mjpeg.avi", Video("mjpeg", "yuvj420p", options=MJPEG)),
    good("mjpeg.mov", Video("mjpeg", "yuvj422p", options=MJPEG)),
    good("mjpeg.mjpeg", Video("mjpeg", "yuvj420p", options=MJPEG)),
    good("h263.3gp", Video("h263", rate=NTSC, frames=pictures(30, 176, 144), options=MPEG), tolerance=20),
    good("wmv2.wmv", Video("wmv2", options=MPEG)),
    good("sorenson.flv", Video("flv", options=MPEG)),
    good("ffv1.mkv", Video("ffv1")),
    good("ffv1.nut", Video("ffv1")),
    good("huffyuv.avi", Video("huffyuv", "yuv422p")),
    good("utvideo.avi", Video("utvideo", "gbrp"), tolerance=0.5),
    good("raw.avi", Video("rawvideo", "bgr24"), tolerance=0.5),
    good("raw.y4m", Video("rawvideo", form="yuv4mpegpipe")),
    good("prores.mov", Video("prores_ks", "yuv422p10le")),
    good("animation.mov", Video("qtrle", "rgb24"), tolerance=0.5),
    good("png.mov", Video("png", "rgb24"), tolerance=0.5),
    Good(
        "ntsc.dv",
        Video("dvvideo", "yuv411p", rate=NTSC, frames=pictures(10, 720, 480), form="dv"),
        Shown(pictures(10, 640, 480), at_rate(NTSC, 10)),
    ),
    # Names that say something else than the content, as people's renamed and downloaded files have.
    good("matroska.mp4", Video(form="matroska")),
    good("video.gif", Video(form="mp4")),
    good("UPPER.MP4", Video(form="mp4")),
    good("mpeg stream.avi", Video(form="mpegts")),
    good("ünï 100% #1?.mp4", Video()),
    good("concat:a|b.mp4", Video(form="mp4")),
    good("-y.mp4", Video(form="mp4")),
    good("bytes \udcff.mp4", Video(form="mp4")),
    Good("cover.mp4", _with_cover, _SHOWN, facts={"codec": "h264"}),
    Good("cover.mkv", _with_attachment, _SHOWN, facts={"codec": "h264"}),
    Good("two videos.mp4", _two_videos, _SHOWN),
    Good("two videos.mkv", _two_videos, _SHOWN),
    good("more behind it.mp4", Video(), change=lambda content: content + bytes(range(256)) * 20),
    good("more before it.ts", Video(), change=lambda content: bytes(range(200)) + content),
]
