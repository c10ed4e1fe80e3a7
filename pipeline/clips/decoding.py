"""Decodes a file of video, front to back, into the frames that are chosen by their presentation times.

Nothing in a header is trusted: neither frame counts nor durations nor an index to seek by. Frames that are
not chosen and that no other frame depends on need not be decoded: the decoder itself drops them
(``skip_frame``), and where the frames that it gives are not exactly those expected, the file is decoded in
full.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.clips.errors import BadClipError
from pipeline.clips.fitting import FrameFitter, Image
from pipeline.clips.frame_settings import MAX_PIXELS, MAX_SIDE, MAX_SOURCE_FRAMES, FrameSettings
from pipeline.clips.sampling import Sampler, chosen, end_of
from pipeline.command_line.errors import one_line

# Demuxers of files that hold their frames themselves. Others (playlists, concatenations, patterns of names)
# would open further files.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,gif,ogg,nut,mxf,dv,"
    "yuv4mpegpipe,m4v,h264,hevc,mjpeg,ivf,obu,av1,h263,vc1,swf,rm,apng"
)
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": _FORMATS,
    "enable_drefs": "0",
    "use_absolute_path": "0",
    "max_streams": "64",
}


@dataclass
class Facts:
    """What was found out about a clip.

    Attributes:
        codec: name of the codec.
        width, height: size of a frame as it is shown, turned and with square pixels.
        rotation: degrees counterclockwise by which frames are turned.
        num_frames: number of frames of the source.
        seconds: from the first frame to the end of the last one.
    """

    codec: str = ""
    width: int = 0
    height: int = 0
    rotation: int = 0
    num_frames: int = 0
    seconds: float = 0.0


@dataclass
class Clip:
    """A clip to decode.

    Attributes:
        path: local path of a file.
        start, end: the part that is asked for, in seconds from the first frame; ``end`` None: to the end.
        facts: filled while the clip is decoded.
    """

    path: str
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    facts: Facts = field(default_factory=Facts)

    def sampler(self, settings: FrameSettings) -> Sampler:
        """Chooses the frames of this part."""
        return Sampler(settings.fps, self.start, self.end)


class _OtherFramesError(Exception):
    """Decoding without unused frames did not give the frames that the packets announce."""


def decode_video(clip: Clip, settings: FrameSettings) -> Iterator[tuple[int, Image]]:
    """Yield the chosen frames of a file of video.

    Yields:
        (k, image): number of the chosen time, which is ``start + k / fps``, and the frame, uint8
        (height, width, 3).

    Raises:
        BadClipError: if there is no video, or a frame cannot be decoded; frames before that were yielded.
    """
    plan = _Plan.of(clip, settings) if settings.skip_unused else None
    done = -1
    if plan is not None:
        try:
            for number, image in _decode_planned(clip, settings, plan):
                yield number, image
                done = number
            return
        except _OtherFramesError:
            pass
    for number, image in _decode_all(clip, settings):
        if number > done:
            yield number, image


@dataclass(frozen=True)
class _Plan:
    """The frames to decode, from the packets' times.

    Attributes:
        numbers: by time stamp of a chosen frame, the numbers of the chosen times at which it is shown.
        needed: time stamps of all frames that must come out: those chosen, the first, and the last two.
    """

    numbers: dict[int, list[int]]
    needed: frozenset[int]
    num_frames: int
    seconds: float

    @classmethod
    def of(cls, clip: Clip, settings: FrameSettings) -> _Plan | None:
        """The plan; None if the packets' times do not tell those of the frames."""
        with _open(clip.path) as container:
            stream = _video_stream(container)
            stamps: list[int] = []
            try:
                for packet in container.demux(stream):
                    if packet.size and not packet.is_discard:
                        if packet.pts is None or packet.is_corrupt or len(stamps) > MAX_SOURCE_FRAMES:
                            return None
                        stamps.append(packet.pts)
            except av.FFmpegError:
                return None
            stamps.sort()
            if len(stamps) < 2 or len(set(stamps)) < len(stamps) or stream.time_base is None:
                return None
            times = [(stamp - stamps[0]) * stream.time_base for stamp in stamps]
        end = end_of(times[-2], times[-1])
        shown = chosen(times, end, clip.sampler(settings))
        numbers = {stamp: each for stamp, each in zip(stamps, shown, strict=True) if each}
        needed = frozenset([*numbers, stamps[0], *stamps[-2:]])
        return cls(numbers, needed, len(stamps), float(end))


def _decode_planned(clip: Clip, settings: FrameSettings, plan: _Plan) -> Iterator[tuple[int, Image]]:
    found: set[int] = set()
    last = None
    with _open(clip.path) as container:
        stream, decoder = _decoder(container)
        fitter = _fitter(stream, settings)
        for packet in container.demux(stream):
            is_needed = not packet.size or packet.pts in plan.needed
            decoder.skip_frame = "DEFAULT" if is_needed else "NONREF"
            try:
                frames = decoder.decode(packet if packet.size else None)
            except av.FFmpegError as error:
                raise _OtherFramesError from error
            for frame in frames:
                if frame.pts is None or frame.is_corrupt or (last is not None and frame.pts <= last):
                    raise _OtherFramesError
                last = frame.pts
                if not found:
                    if frame.pts != min(plan.needed):
                        raise _OtherFramesError
                    _check_size(frame.width, frame.height)
                    _note(clip, stream, frame)
                    clip.facts.num_frames, clip.facts.seconds = plan.num_frames, plan.seconds
                if frame.pts in plan.needed:
                    found.add(frame.pts)
                    # In order, so a chosen frame that is missing is noticed before a later one is given.
                    if any(stamp < frame.pts for stamp in plan.needed - found):
                        raise _OtherFramesError
                    if frame.pts in plan.numbers:
                        image = fitter.fit(frame, clip.facts.rotation)
                        yield from ((number, image) for number in plan.numbers[frame.pts])
    if found != plan.needed:
        raise _OtherFramesError


def _decode_all(clip: Clip, settings: FrameSettings) -> Iterator[tuple[int, Image]]:
    sampler = clip.sampler(settings)
    first = previous = before = None
    held = None
    damage = None
    with _open(clip.path) as container:
        stream, _ = _decoder(container)
        fitter = _fitter(stream, settings)
        rate = stream.guessed_rate or stream.average_rate
        frames = _frames(container, stream)
        while True:
            try:
                frame = next(frames, None)
            except BadClipError as error:
                frame, damage = None, error
            if frame is None:
                break
            stamp = _time(frame, previous, rate)
            if first is None:
                _note(clip, stream, frame)
                first = stamp
            elif previous is not None and stamp <= previous:
                continue  # Frames of one moment, or out of order: the one that came first is shown.
            if held is not None and (numbers := sampler.before(stamp - first)):
                image = fitter.fit(held, clip.facts.rotation)
                yield from ((number, image) for number in numbers)
            before, previous, held = previous, stamp, frame
            clip.facts.num_frames += 1
        if held is not None and first is not None and previous is not None:
            end = end_of(None if before is None else before - first, previous - first)
            clip.facts.seconds = float(end)
            if numbers := sampler.before(end):
                image = fitter.fit(held, clip.facts.rotation)
                yield from ((number, image) for number in numbers)
    if damage is not None:
        raise damage
    if held is None:
        raise BadClipError("has no frames")


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """All decoded frames; damage ends them with an error after those before it."""
    number = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if packet.size and packet.is_corrupt:
                raise BadClipError(f"is cut off or damaged at frame {number}", is_damaged=number > 0)
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError as error:
            reason = f"cannot be decoded at frame {number} ({_reason(error)})"
            raise BadClipError(reason, is_damaged=number > 0) from error
        for frame in frames:
            if frame.is_corrupt:
                raise BadClipError(f"is damaged at frame {number}", is_damaged=number > 0)
            if number >= MAX_SOURCE_FRAMES:
                raise BadClipError(f"has more than {MAX_SOURCE_FRAMES} frames")
            if number == 0:
                _check_size(frame.width, frame.height)
            yield frame
            number += 1


def _open(path: str) -> InputContainer:
    try:
        # "file:" keeps names such as "concat:a" from being read as protocols.
        container: InputContainer = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise BadClipError(f"cannot be opened ({_reason(error)})") from error
    return container


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "")) or one_line(error)


def _video_stream(container: InputContainer) -> VideoStream:
    """The video: the first stream that is no picture attached to the file, such as a cover."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        raise BadClipError("has no video stream")
    stream = streams[0]
    if stream.codec_context is None:
        raise BadClipError("has video of an unknown codec")
    _check_size(stream.codec_context.width, stream.codec_context.height)
    return stream


def _decoder(container: InputContainer) -> tuple[VideoStream, Any]:
    stream = _video_stream(container)
    decoder = stream.codec_context
    decoder.thread_count, decoder.thread_type = 1, "NONE"
    decoder.options = {"flags": "+bitexact", "max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
    return stream, decoder


def _fitter(stream: VideoStream, settings: FrameSettings) -> FrameFitter:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return FrameFitter(settings, aspect if aspect > 0 else Fraction(1), _is_mirrored(stream))


def _is_mirrored(stream: VideoStream) -> bool:
    return False


def _note(clip: Clip, stream: VideoStream, frame: av.VideoFrame) -> None:
    facts = clip.facts
    facts.codec = stream.codec_context.codec.name
    facts.rotation = round(frame.rotation / 90) * 90 % 360
    aspect = stream.sample_aspect_ratio or Fraction(1)
    size = [round(frame.width * aspect) if aspect > 0 else frame.width, frame.height]
    facts.width, facts.height = size if facts.rotation % 180 == 0 else size[::-1]


def _time(frame: av.VideoFrame, previous: Fraction | None, rate: Fraction | None) -> Fraction:
    """Presentation time of a frame in seconds; for a file without times, from its rate of frames."""
    if frame.pts is not None and frame.time_base:
        return Fraction(frame.time_base) * int(frame.pts)
    step = 1 / rate if rate else Fraction(1, 25)
    return Fraction(0) if previous is None else previous + step


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise BadClipError(f"asks for frames of {width}x{height} pixels: at most {MAX_PIXELS} are decoded")
