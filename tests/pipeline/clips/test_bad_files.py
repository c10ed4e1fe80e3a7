"""A file that cannot be used gives a reason; of a damaged one, the frames before the damage are right."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from tests.pipeline.clips.files import (
    AV1,
    B_FRAMES,
    FRAMES,
    MJPEG,
    MPEG,
    VPX,
    X265,
    Shown,
    Video,
    Write,
    add_sound,
    at_rate,
    changed,
    choose,
    decode,
    inside,
    matches,
    pictures,
    put,
    settings,
)


@dataclass(frozen=True)
class Bad:
    """A bad file.

    Attributes:
        name: of the file.
        write: writes it, with frames of `_LARGE`.
        reason: pattern of the reason.
        fewest: how many frames come before the damage, at least; 0 for a file that gives none.
    """

    name: str
    write: Write
    reason: str
    fewest: int = 0


def _bytes(content: bytes) -> Write:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "text " * 1000)


def _sound(form: str) -> Write:
    def write(path: Path) -> None:
        with av.open(str(path), "w", format=form) as container:
            add_sound(container)

    return write


def _without_frames(path: Path) -> None:
    """A Matroska file that ends after its header."""
    Video("ffv1")(path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75")])


def _no_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def _jpeg(path: Path) -> None:
    Pillow.fromarray(FRAMES[0]).save(path, "JPEG")


def _huge_mkv(content: bytes) -> bytes:
    """A Matroska file of 320 x 300 pixels whose header asks for 60,000 x 60,000."""
    return content.replace(b"\xb0\x82\x01\x40\xba\x82\x01\x2c", b"\xb0\x82\xea\x60\xba\x82\xea\x60")


def _huge_avi(content: bytes) -> bytes:
    return put(content, inside(content, b"strf") + 8, struct.pack("<II", 60000, 60000))


def _huge_gif(content: bytes) -> bytes:
    return put(content, 6, struct.pack("<HH", 60000, 60000))


def _wide_gif(content: bytes) -> bytes:
    return put(content, 6, struct.pack("<HH", 20000, 100))


def _other_codec(content: bytes) -> bytes:
    return content.replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC")


def _cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def _mpegts_cut(content: bytes) -> bytes:
    """A transport stream that ends within a packet."""
    return content[: len(content) // 188 // 2 * 188 + 100]


def _overwritten(number: int) -> Callable[[bytes], bytes]:
    """Bytes in the middle of a packet of the video become others."""

    def change(content: bytes) -> bytes:
        packets = _packets(content)
        position, size = packets[number]
        place = position + size // 2
        return put(content, place, bytes(byte ^ 0xA5 for byte in content[place : place + 8]))

    return change


def _packets(content: bytes) -> list[tuple[int, int]]:
    """Places and sizes of the video's packets, in the order of their times."""
    with av.open(io.BytesIO(content)) as container:
        found = [(packet.pts, packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    return [(position, size) for _, position, size in sorted(found)]


_LARGE = pictures(40, 192, 144)
_SHORT_GROUPS = {"x264-params": "keyint=10:min-keyint=10:rc-lookahead=0:bframes=0:sync-lookahead=0"}
_LONG = Video(times=[Fraction(0), Fraction(1, 25), Fraction(10**6)], frames=FRAMES[:3], ticks=25)
_DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet
mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>{file}</BaseURL></Representation>
</AdaptationSet></Period></MPD>"""
_ENCRYPTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}

FILES = [
    Bad("text.mp4", _bytes(b"This is no video.\n" * 100), "^cannot be opened"),
    Bad("page.mp4", _bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>"), "^cannot be opened"),
    Bad("empty.mp4", _bytes(b""), "^cannot be opened"),
    Bad("zeros.mp4", _bytes(bytes(100_000)), "^cannot be opened"),
    Bad("zip.avi", _zip, "^cannot be opened"),
    Bad("noise.mkv", _bytes(np.random.default_rng(1).bytes(50_000)), "^cannot be opened|^has no"),
    Bad("jpeg.mp4", _jpeg, "^cannot be opened"),
    Bad("no frames.mp4", _no_frames, "^has no frames|^has no video stream|^cannot be opened"),
    Bad("no frames.mkv", _without_frames, "^has no frames|^cannot be opened"),
    Bad("sound.mp4", _sound("mp4"), "^has no video stream"),
    Bad("sound.mkv", _sound("matroska"), "^has no video stream"),
    Bad("sound.avi", _sound("avi"), "^has no video stream"),
    Bad("another codec.mp4", changed(Video(), _other_codec), "^has video of an unknown codec|^has no video"),
    Bad("encrypted.mp4", Video(container=_ENCRYPTED), "^cannot be decoded at frame 0"),
    Bad(
        "huge.mkv",
        changed(Video("ffv1", frames=pictures(2, 320, 300)), _huge_mkv),
        "^cannot be decoded at frame 0",
    ),
    Bad("huge.avi", changed(Video("huffyuv", "yuv422p"), _huge_avi), "^cannot be decoded at frame 0"),
    Bad("wide.gif", changed(Video("gif", "rgb8"), _wide_gif), "^asks for frames of 20000x100 pixels"),
    Bad("huge.gif", changed(Video("gif", "rgb8"), _huge_gif), "^cannot be decoded at frame 0"),
    Bad("long.mkv", _LONG, "more than 1048576 frames at 8 a second"),
    Bad("half.mp4", changed(Video(), _cut(0.5)), "^cannot be opened"),
    *(
        Bad(f"half {name}", changed(Video(frames=_LARGE, **video), _cut(0.55)), r"at frame \d+", fewest)
        for name, fewest, video in (
            ("faststart.mp4", 3, {"options": _SHORT_GROUPS, "container": {"movflags": "faststart"}}),
            (
                "fragments.mp4",
                3,
                {"options": _SHORT_GROUPS, "container": {"movflags": "frag_keyframe+empty_moov"}},
            ),
            ("h264.mkv", 3, {"options": _SHORT_GROUPS}),
            ("B-frames.mkv", 3, {"options": B_FRAMES}),
            ("h264.flv", 3, {"options": _SHORT_GROUPS}),
            ("hevc.mkv", 3, {"codec": "libx265", "options": X265}),
            ("vp9.webm", 3, {"codec": "libvpx-vp9", "options": VPX}),
            ("ffv1.mkv", 3, {"codec": "ffv1"}),
            ("mpeg4.avi", 2, {"codec": "mpeg4", "options": MPEG, "sound": True}),
            ("mjpeg.avi", 3, {"codec": "mjpeg", "pixels": "yuvj420p", "options": MJPEG}),
            ("mpeg2.mpg", 3, {"codec": "mpeg2video", "options": MPEG}),
            ("wmv2.wmv", 3, {"codec": "wmv2", "options": MPEG}),
            ("gif.gif", 3, {"codec": "gif", "pixels": "rgb8"}),
        )
    ),
    *(
        Bad(
            f"half {name}.ts",
            changed(Video(codec, frames=_LARGE, options=options), _mpegts_cut),
            r"^is cut off",
            3,
        )
        for name, codec, options in (
            ("h264", "libx264", _SHORT_GROUPS),
            ("B-frames", "libx264", B_FRAMES),
            ("mpeg2", "mpeg2video", MPEG),
        )
    ),
    *(
        Bad(f"overwritten {name}", changed(Video(frames=_LARGE, **video), _overwritten(24)), reason, fewest)
        for name, reason, fewest, video in (
            ("h264.mp4", r"at frame \d+", 4, {"options": _SHORT_GROUPS}),
            ("B-frames.mp4", r"at frame \d+", 3, {"options": B_FRAMES}),
            ("mpeg4.mp4", r"at frame \d+", 4, {"codec": "mpeg4", "options": MPEG}),
            ("mjpeg.avi", r"at frame \d+", 4, {"codec": "mjpeg", "pixels": "yuvj420p", "options": MJPEG}),
            ("png.mov", r"at frame 24\b", 6, {"codec": "png", "pixels": "rgb24"}),
        )
    ),
]


@pytest.mark.parametrize("skip_unused", [False, True])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_names_the_reason_and_gives_the_frames_before(file: Bad, skip_unused: bool, tmp_path: Path) -> None:
    path = tmp_path / file.name
    file.write(path)
    to = settings(skip_unused=skip_unused)

    result = decode(path, to)

    assert re.search(file.reason, result.found.reason), result.found.reason
    assert "\n" not in result.found.reason
    assert str(tmp_path) not in result.found.reason
    shown = Shown(_LARGE, at_rate(25, 40))
    found = matches(result, shown, to, 25)
    if file.fewest:
        assert found == choose(shown.times, to.fps)[: len(found)]
        assert file.fewest <= len(found) < len(choose(shown.times, to.fps))
    assert result.found.is_damaged == (file.fewest > 0)
    assert decode(path, to) == result


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("h264.mp4", Video(options=B_FRAMES)),
        ("h264.ts", Video(options=B_FRAMES)),
        ("hevc.mkv", Video("libx265", options=X265)),
        ("vp9.webm", Video("libvpx-vp9", options=VPX)),
        ("av1.mp4", Video("libsvtav1", options=AV1)),
        ("mpeg4.avi", Video("mpeg4", options=MPEG)),
        ("mjpeg.avi", Video("mjpeg", "yuvj420p", options=MJPEG)),
        ("gif.gif", Video("gif", "rgb8")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_flipped_bytes_anywhere_give_frames_or_a_reason(
    name: str, video: Video, seed: int, tmp_path: Path
) -> None:
    path, choice = tmp_path / name, np.random.default_rng(seed)
    video(path)
    content = bytearray(path.read_bytes())
    for place in choice.integers(len(content), size=8):
        content[place] ^= int(choice.integers(1, 256))
    path.write_bytes(bytes(content))

    result = decode(path, settings())  # Raises nothing.

    assert result.found.reason or result.frames
    assert decode(path, settings()) == result


def test_a_frame_that_is_not_needed_is_not_decoded(tmp_path: Path) -> None:
    """Its damage is not noticed, unless everything is decoded."""
    video = Video(frames=_LARGE, options={**B_FRAMES, "x264-params": "b-pyramid=none:b-adapt=0:keyint=12"})
    changed(video, _overwritten(14))(tmp_path / "a.mp4")

    quick, whole = (decode(tmp_path / "a.mp4", settings(skip_unused=skip)) for skip in (True, False))

    shown = Shown(_LARGE, at_rate(25, 40))
    assert quick.found.reason == ""
    assert matches(quick, shown, settings(), 6) == choose(shown.times, Fraction(8))
    assert "at frame 1" in whole.found.reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{file}\n#EXT-X-ENDLIST\n"),
        ("hls.ts", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:{file}\n#EXT-X-ENDLIST\n"),
        ("hls.mkv", "#EXTM3U\n#EXTINF:2,\nconcat:{file}|{file}\n"),
        ("concat.avi", "ffconcat version 1.0\nfile '{file}'\n"),
        ("list.mp4", "file '{file}'\n"),
        ("dash.mp4", _DASH),
        ("session.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"),
        ("redirect.asf", "[Reference]\nRef1=file:{file}\n"),
        ("metalink.wmv", '<asx version="3.0"><entry><ref href="{file}"/></entry></asx>'),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)
def test_a_file_that_refers_to_another_is_refused(name: str, text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.ts"
    Video()(other)
    (tmp_path / name).write_text(text.format(file=other))
    _watch(other)

    result = decode(tmp_path / name, settings())

    assert result.found.reason.startswith("cannot be opened")
    assert result.frames == []
    assert not _was_read(other)


def test_data_in_another_file_are_not_read(tmp_path: Path) -> None:
    other = tmp_path / "other.mov"
    Video()(other)
    content = other.read_bytes()
    alias = _alias(str(other))
    entry = struct.pack(">I", 8 + len(alias)) + b"alis" + alias
    place = content.index(b"dref") - 4
    (size,) = struct.unpack_from(">I", content, place)
    table = struct.pack(">I", 16 + len(entry)) + b"dref" + struct.pack(">II", 0, 1) + entry
    changed_content = content[:place] + table + content[place + size :]
    for box in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = changed_content.index(box) - 4
        (length,) = struct.unpack_from(">I", changed_content, at)
        changed_content = put(changed_content, at, struct.pack(">I", length + len(table) - size))
    path = tmp_path / "refers.mov"
    path.write_bytes(changed_content.replace(b"mdat", b"free"))
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert len(list(container.decode(video=0))) == 30  # That is how it would be read.
    _watch(other)

    result = decode(path, settings())

    assert result.found.reason == "has no frames"
    assert not _was_read(other)


def _alias(path: str) -> bytes:
    """A record of QuickTime that names a file by its absolute path."""
    name = path.rpartition("/")[2].encode()
    fixed = bytes(4 + 10)
    fixed += bytes(1 + 27 + 12)
    fixed += bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", -1, -1) + bytes(16)
    text = path.encode()
    return (
        fixed + struct.pack(">HH", 2, len(text)) + text + b"\0" * (len(text) % 2) + struct.pack(">hH", -1, 0)
    )


def _watch(path: Path) -> None:
    os.utime(path, (1000, 2000))


def _was_read(path: Path) -> bool:
    """Whether a file was read since it was watched, by its time of access."""
    was_read = path.stat().st_atime != 1000
    path.read_bytes()
    if path.stat().st_atime == 1000:
        pytest.skip("this disk keeps no times of access")
    return was_read


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "walk").mkdir()
    os.mkfifo(tmp_path / "walk" / "1.png")
    _jpeg(tmp_path / "walk" / "2.jpg")

    def reason(name: str) -> str:
        return decode(tmp_path / name, settings()).found.reason

    assert reason("pipe.mp4") == "is neither a file nor a folder"
    assert reason("pipe.png") == "is neither a file nor a folder"
    assert reason("missing.mp4") == "cannot be opened (No such file or directory)"
    assert reason("folder.mp4") == "has no images"
    assert reason("walk") == "its image 1.png is no regular file"


def test_a_part_without_frames_is_named(tmp_path: Path) -> None:
    Video()(tmp_path / "a.mp4")

    result = decode(tmp_path / "a.mp4", settings(), "2", "3")

    assert result.found.reason == "has no frames in the part that is asked for"
    assert result.frames == []
