"""The times at which decoded frames are shown, also where a file does not say them."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from av import Packet, VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

# Times that go back by more than this begin again: files were joined. Others are out of order.
_RESTART_SECONDS = 1


class PresentationTimes:
    """Gives every frame its time, in the order in which the decoder gives frames: that of presentation.

    Args:
        container, stream: the file and its video.

    Attributes:
        are_stored: whether the times of packets are those of their frames. AVI stores the times of decoding:
            for H.264, whose order FFmpeg does not know without decoding, each frame gets the next of them.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.are_stored = container.format.name != "avi" or stream.codec_context.codec.name != "h264"
        self._tick = stream.time_base
        rate = stream.guessed_rate or stream.average_rate
        self._step = 1 / rate if rate else Fraction(1, 25)
        self._decoded: deque[int] = deque()
        self._offset = Fraction(0)
        self._last: Fraction | None = None

    def note(self, packet: Packet[VideoStream]) -> None:
        """Take note of a packet before it is decoded."""
        if not self.are_stored and packet.dts is not None:
            self._decoded.append(packet.dts)

    def time(self, frame: VideoFrame) -> Fraction | None:
        """The time of the next frame in seconds; None if it is not after the one before it."""
        stamp = frame.pts if self.are_stored else self._decoded.popleft() if self._decoded else None
        following = Fraction(0) if self._last is None else self._last + self._step
        if stamp is None or self._tick is None:
            time = following
        else:
            time = stamp * self._tick + self._offset
            if self._last is not None and time < self._last - _RESTART_SECONDS:
                self._offset += following - time
                time = following
        if self._last is not None:
            if time <= self._last:
                return None
            self._step = time - self._last
        self._last = time
        return time
