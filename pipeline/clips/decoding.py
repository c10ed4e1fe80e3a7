"""Decodes a file of video, front to back, into the frames that are chosen by their presentation times.

Nothing in a header is trusted: neither frame counts nor durations nor an index to seek by. Frames that are
not chosen and that no other frame depends on need not be decoded: the decoder itself drops them
(``skip_frame``), and where the frames that it gives are not exactly those expected, the file is decoded in
full.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from pipeline.clips.cut_off import is_cut_off
from pipeline.clips.errors import BadClipError, reason_of
from pipeline.clips.fitting import FrameFitter, Image
from pipeline.clips.frame_settings import MAX_PIXELS, MAX_SIDE, MAX_SOURCE_FRAMES, FrameSettings
from pipeline.clips.presentation_times import PresentationTimes
from pipeline.clips.sampling import Sampler, chosen, end_of

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
        is_mirrored: whether frames are mirrored left to right before they are turned.
        num_frames: number of frames of the source.
        seconds: from the first frame to the end of the last one.
    """

    codec: str = ""
    width: int = 0
    height: int = 0
    rotation: int = 0
    is_mirrored: bool = False
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


class _DamageError(Exception):
    """A file is damaged from here on: what is wrong, and why, to be written around the frame's number."""


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
            are_stored = PresentationTimes(container, stream).are_stored
            if not are_stored or is_cut_off(clip.path, container.format.name):
                return None
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
    expected = deque(sorted(plan.needed))
    last = None
    with _open(clip.path) as container:
        stream, decoder = _decoder(container)
        fitter = FrameFitter(settings, _aspect(stream))
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
                # A frame that is missing is noticed before a later one is given.
                if expected and frame.pts > expected[0]:
                    raise _OtherFramesError
                _check_size(frame.width, frame.height)
                if last is None:
                    if frame.pts != expected[0]:
                        raise _OtherFramesError
                    _note(clip, stream, frame)
                    clip.facts.num_frames, clip.facts.seconds = plan.num_frames, plan.seconds
                last = frame.pts
                if expected and frame.pts == expected[0]:
                    expected.popleft()
                    if frame.pts in plan.numbers:
                        image = _fit(fitter, frame, clip)
                        yield from ((number, image) for number in plan.numbers[frame.pts])
    if expected:
        raise _OtherFramesError


def _decode_all(clip: Clip, settings: FrameSettings) -> Iterator[tuple[int, Image]]:
    sampler = clip.sampler(settings)
    clip.facts.num_frames = 0
    held = None
    damage = None
    begins: list[Fraction] = []  # Of the last two frames.
    with _open(clip.path) as container:
        stream, _ = _decoder(container)
        fitter = FrameFitter(settings, _aspect(stream))
        try:
            for frame, begin in _frames(clip, container, stream):
                if held is None:
                    _note(clip, stream, frame)
                elif numbers := sampler.before(begin):
                    image = _fit(fitter, held, clip)
                    yield from ((number, image) for number in numbers)
                begins, held = [*begins[-1:], begin], frame
                clip.facts.num_frames += 1
        except BadClipError as error:
            damage = error
        if held is not None:
            # Of a damaged file, nothing is known of the time after the last whole frame begins.
            is_known = len(begins) == 2 and damage is None
            end = end_of(begins[0] if is_known else None, begins[-1])
            clip.facts.seconds = float(end)
            if numbers := sampler.before(end):
                image = _fit(fitter, held, clip)
                yield from ((number, image) for number in numbers)
    if damage is not None:
        raise damage
    if held is None:
        raise BadClipError("has no frames")


def _frames(
    clip: Clip, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[av.VideoFrame, Fraction]]:
    """All frames, and when each begins, in seconds from the first one's beginning.

    Raises:
        BadClipError: after the frames before damage.
    """
    times = PresentationTimes(container, stream)
    first = None
    number = 0
    try:
        for frame in _decoded(container, stream, times, is_cut_off(clip.path, container.format.name)):
            _check_size(frame.width, frame.height)
            if number >= MAX_SOURCE_FRAMES:
                raise BadClipError(f"has more than {MAX_SOURCE_FRAMES} frames")
            time = times.time(frame)
            if time is not None:  # Of frames of one moment, the one that came first is shown.
                first = time if first is None else first
                yield frame, time - first
                number += 1
    except _DamageError as error:
        what, why = error.args
        raise BadClipError(f"{what} at frame {number}{why}", is_damaged=number > 0) from error


def _decoded(
    container: InputContainer, stream: VideoStream, times: PresentationTimes, is_cut: bool
) -> Iterator[av.VideoFrame]:
    decoder, has_key = stream.codec_context, False
    waiting: av.Packet[VideoStream] | None = None
    try:
        for read in container.demux(stream):
            packet = waiting if is_cut else read
            if is_cut:  # The last packet may not be whole, and frames before the very last ones be missing.
                if not read.size:
                    raise _DamageError("is cut off", "")
                waiting = read
            if packet is None:
                continue
            if packet.size and packet.is_corrupt:
                raise _DamageError("is cut off or damaged", "")
            has_key = has_key or packet.is_keyframe
            times.note(packet)
            try:
                frames = decoder.decode(packet if packet.size else None)
            except av.FFmpegError as error:
                if has_key or not packet.size:
                    raise _DamageError("cannot be decoded", f" ({reason_of(error)})") from error
                # A recording that begins within a group of pictures: what these depend on is missing.
                decoder.flush_buffers()
                continue
            for frame in frames:
                if frame.is_corrupt:
                    raise _DamageError("is damaged", "")
                yield frame
    except av.FFmpegError as error:
        raise _DamageError("cannot be read", f" ({reason_of(error)})") from error


def _open(path: str) -> InputContainer:
    try:
        # "file:" keeps names such as "concat:a" from being read as protocols.
        container: InputContainer = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise BadClipError(f"cannot be opened ({reason_of(error)})") from error
    return container


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


def _aspect(stream: VideoStream) -> Fraction:
    """Width of a pixel divided by its height."""
    aspect = stream.sample_aspect_ratio
    return aspect if aspect is not None and aspect > 0 else Fraction(1)


def _note(clip: Clip, stream: VideoStream, frame: av.VideoFrame) -> None:
    facts = clip.facts
    facts.codec = stream.codec_context.codec.name
    facts.rotation, facts.is_mirrored = _orientation(frame)
    size = round(frame.width * _aspect(stream)), frame.height
    facts.width, facts.height = size if facts.rotation % 180 == 0 else size[::-1]


def _orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """By how many degrees a frame is turned counterclockwise, and whether it is mirrored before that."""
    try:
        found = frame.side_data.get(Type.DISPLAYMATRIX)
    except ValueError:  # PyAV has no name for other data of this frame.
        return round(frame.rotation / 90) * 90 % 360, False
    if found is None:
        return 0, False
    # A pixel at (x, y) is shown at (a x + c y, b x + d y), y pointing down.
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(found))
    is_mirrored = a * d < b * c
    degrees = math.degrees(math.atan2(b, -a) if is_mirrored else math.atan2(-b, a))
    return round(degrees / 90) * 90 % 360, is_mirrored


def _fit(fitter: FrameFitter, frame: av.VideoFrame, clip: Clip) -> Image:
    return fitter.fit(frame, clip.facts.rotation, clip.facts.is_mirrored)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise BadClipError(f"asks for frames of {width}x{height} pixels: at most {MAX_PIXELS} are decoded")
