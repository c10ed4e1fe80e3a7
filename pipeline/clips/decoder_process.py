"""The process that decodes, and its handle: media are untrusted, and a decoder may crash, hang or swell.

A worker has one such process and gives it a clip after the other. The process limits its own memory and time,
so that it also ends when its worker was killed. What it sends back is JSON and bytes, no pickles.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import IO, Any

from pipeline.clips.errors import BadClipError
from pipeline.clips.frame_settings import MAX_MEMORY_BYTES, FrameSettings

_LENGTH = struct.Struct("<I")
_MAX_MESSAGE_BYTES = 2**31


@dataclass(frozen=True)
class Segment:
    """Consecutive chosen frames of a clip, those of one record.

    Attributes:
        frames: each frame as the bytes of a JPEG or PNG.
        timestamps: time of each in microseconds from the clip's first frame.
    """

    frames: list[bytes]
    timestamps: list[int]


@dataclass(frozen=True)
class Decoded:
    """What decoding found out about a clip.

    Attributes:
        facts: see `pipeline.clips.decoding.Facts`, by name.
        reason: why the clip cannot be used, or not to its end; empty if it can.
        is_damaged: whether the segments before the damage are whole.
        frames_sha256: digest of the stored frames.
        hashes: difference hashes of four chosen frames, spread over the clip; None for one without contrast.
        brightness: mean gray level of frames that are spread over the clip, 0..255.
    """

    facts: dict[str, Any]
    reason: str
    is_damaged: bool
    frames_sha256: str
    hashes: list[int | None]
    brightness: float


class Decoder:
    """The handle of a decoding process, which is started when it is needed; use it as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decode(
        self, path: str, settings: FrameSettings, start: str | None = None, end: str | None = None
    ) -> Iterator[Segment | Decoded]:
        """Decode a clip: yield its segments and then, last, what was found out about it.

        Args:
            path: local path of a file or of a folder of images.
            settings: how its frames are made.
            start, end: the part of the clip in seconds, as decimal numbers; None: from its start, to its end.
        """
        request = {"path": path, "settings": settings.to_json(), "start": start, "end": end}
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        finished = False
        try:
            _write(process.stdin, request)
            while not finished:
                header, parts = _read(process.stdout)
                finished = "reason" in header
                yield Decoded(**header) if finished else Segment(parts, header["timestamps"])
        except (EOFError, BrokenPipeError, _TooLargeError) as error:
            # Whoever writes a record that is too large waits for its reader, and would not end by itself.
            reason = str(error) if isinstance(error, _TooLargeError) else self._death(settings)
            self.close()
            finished = True
            yield Decoded({}, reason, False, "", [], 0.0)
        finally:
            if not finished:  # The caller has given up: the rest is not the answer to a later request.
                self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **_ONE_THREAD},
                start_new_session=True,  # Ctrl-C goes to the program, which ends this process by itself.
            )
        return self._process

    def _death(self, settings: FrameSettings) -> str:
        process = self._process
        assert process is not None
        code = process.wait()
        if code == -signal.SIGALRM:
            return f"took longer than {settings.timeout:g} s to decode"
        if code < 0:
            return f"crashed the decoder ({signal.Signals(-code).name})"
        return f"took more than {MAX_MEMORY_BYTES // 2**20} MiB to decode, or ended the decoder ({code})"


# Libraries that NumPy uses otherwise reserve memory for a thread a core.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class _TooLargeError(Exception):
    """An answer has more bytes than a record can have; the message is the clip's reason."""


def _write(stream: IO[bytes], header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    text = json.dumps({**header, "sizes": [len(part) for part in parts]}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    for part in parts:
        stream.write(part)
    stream.flush()


def _read(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    header = json.loads(_exactly(stream, length))
    sizes = header.pop("sizes")
    if sum(sizes) > _MAX_MESSAGE_BYTES:
        raise _TooLargeError(
            f"has a record of more than {_MAX_MESSAGE_BYTES / 2**30:g} GiB; give fewer --max_frames"
        )
    return header, [_exactly(stream, size) for size in sizes]


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise EOFError
    return content


def decode_clip(
    path: str, settings: FrameSettings, start: str | None, end: str | None
) -> Iterator[Segment | Decoded]:
    """Decode a clip in this process; see `Decoder.decode`."""
    from PIL import Image

    from pipeline.clips.decoding import Clip, decode_video
    from pipeline.clips.frame_files import Looks, encode_picture, in_channels
    from pipeline.clips.media_files import is_image
    from pipeline.clips.still_images import decode_images

    clip = Clip(path, Fraction(start or 0), None if end is None else Fraction(end))
    frames: list[bytes] = []
    timestamps: list[int] = []
    digest, looks = hashlib.sha256(), Looks()
    reason, is_damaged = "", False
    still = os.path.isdir(path) or is_image(path)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # Reading a pipe or a device may not end.
            raise BadClipError("is neither a file nor a folder")
        last = None
        for number, image in (decode_images if still else decode_video)(clip, settings):
            if image is not last:  # A frame may be shown at several of the chosen times.
                last, picture = image, Image.fromarray(image)
                stored = in_channels(picture, settings.channels)
                content = encode_picture(stored, settings.encoding, settings.jpeg_quality)
            digest.update(content)
            looks.add(picture)
            frames.append(content)
            timestamps.append(round((clip.start + number / settings.fps) * 10**6))
            if len(frames) == settings.max_frames:
                yield Segment(frames, timestamps)
                frames, timestamps = [], []
    except BadClipError as error:
        reason, is_damaged = str(error), error.is_damaged
    except OSError as error:
        reason = f"cannot be opened ({error.strerror})"
    except MemoryError:
        reason = f"takes more than {MAX_MEMORY_BYTES // 2**20} MiB to decode"
    if frames:
        yield Segment(frames, timestamps)
    if not looks.count and not reason:
        reason = "has no frames in the part that is asked for"
    facts = asdict(clip.facts)
    yield Decoded(facts, reason, is_damaged, digest.hexdigest(), looks.hashes(), looks.brightness())


def _serve() -> None:
    """Decode what is asked for on stdin until it ends."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Libraries that print must not disturb the answers.

    import av

    av.logging.set_level(av.logging.PANIC)
    while True:
        try:
            request, _ = _read(sys.stdin.buffer)
        except EOFError:
            return
        settings = FrameSettings.from_json(request["settings"])
        signal.setitimer(signal.ITIMER_REAL, settings.timeout)  # Its signal ends the process.
        for part in decode_clip(request["path"], settings, request["start"], request["end"]):
            left, _ = signal.setitimer(signal.ITIMER_REAL, 0)  # Waiting for the reader is not decoding.
            if isinstance(part, Segment):
                _write(answers, {"timestamps": part.timestamps}, part.frames)
            else:
                _write(answers, asdict(part))
            signal.setitimer(signal.ITIMER_REAL, left)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    _serve()
