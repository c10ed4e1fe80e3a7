"""Clips are decoded in a process of their own, whose end is an answer about the clip and harms no other."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pipeline.clips.decoder_process import Decoded, Decoder, Segment
from pipeline.clips.frame_settings import FrameSettings
from tests.pipeline.clips.files import FRAMES, Result, Video, decode, gathered, pictures, settings
from tests.processes import children, environment, wait_until_gone

_MODULE = "pipeline.clips.decoder_process"


def _with(decoder: Decoder, path: Path, to: FrameSettings, *part: str) -> Result:
    return gathered(list(decoder.decode(str(path), to, *part)))


@pytest.fixture
def child() -> Callable[[], int | None]:
    """Gives the decoding process that the test has started; None if there is none."""
    others = set(children(os.getpid(), _MODULE))

    def find() -> int | None:
        found = set(children(os.getpid(), _MODULE)) - others
        assert len(found) <= 1
        return found.pop() if found else None

    return find


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    Video()(tmp_path / "a.mp4")
    return tmp_path / "a.mp4"


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """A video that takes seconds to decode and to store at `_SLOW`."""
    Video("mpeg4", frames=[np.zeros((480, 640, 3), np.uint8)] * 300)(tmp_path / "long.mp4")
    return tmp_path / "long.mp4"


_SLOW = {"fps": 25, "width": 1280, "height": 960, "max_frames": 1}


def test_gives_what_this_process_gives(clip: Path, tmp_path: Path, child: Callable[[], int | None]) -> None:
    """Several clips and settings in turn, on one process."""
    Pillow.fromarray(FRAMES[3]).save(tmp_path / "b.png")
    (tmp_path / "c.mp4").write_text("no video")
    with Decoder() as decoder:
        for path, to, part in [
            (clip, settings(), ()),
            (tmp_path / "b.png", settings(width=10), ()),
            (tmp_path / "c.mp4", settings(), ()),
            (clip, settings(fps=25, max_frames=7, encoding="jpeg", channels=1), ("0.5", "1.25")),
        ]:
            assert _with(decoder, path, to, *part) == decode(path, to, *part)
        first = child()
        _with(decoder, clip, settings())
        assert child() == first
    assert child() is None


def test_names_with_other_bytes_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "bytes \udcff\n.mp4"
    Video(form="mp4")(path)

    with Decoder() as decoder:
        assert _with(decoder, path, settings()) == decode(path, settings())


def test_a_killed_process_is_the_clips_reason(
    clip: Path, long_clip: Path, child: Callable[[], int | None]
) -> None:
    with Decoder() as decoder:
        parts = decoder.decode(str(long_clip), settings(**_SLOW))
        assert isinstance(next(parts), Segment)
        first = child()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        *_, found = parts

        assert isinstance(found, Decoded)
        assert found.reason == "crashed the decoder (SIGKILL)"
        assert not found.is_damaged
        assert _with(decoder, clip, settings()) == decode(clip, settings())


def test_a_process_that_was_killed_between_clips_is_started_again(
    clip: Path, child: Callable[[], int | None]
) -> None:
    with Decoder() as decoder:
        _with(decoder, clip, settings())
        first = child()
        assert first is not None
        os.kill(first, signal.SIGKILL)
        wait_until_gone([first], 10)

        assert _with(decoder, clip, settings()) == decode(clip, settings())


def test_a_clip_that_takes_too_long_is_given_up(clip: Path, long_clip: Path) -> None:
    with Decoder() as decoder:
        _with(decoder, clip, settings())
        begin = time.monotonic()
        result = _with(decoder, long_clip, settings(**_SLOW, timeout=0.3))

        assert time.monotonic() - begin < 10
        assert result.found.reason == "took longer than 0.3 s to decode"
        assert _with(decoder, clip, settings()) == decode(clip, settings())


def test_a_slow_reader_takes_no_time_of_the_clip(clip: Path) -> None:
    with Decoder() as decoder:
        _with(decoder, clip, settings())
        parts = decoder.decode(
            str(clip), settings(fps=25, max_frames=1, width=640, height=480, timeout=3, encoding="jpeg")
        )
        next(parts)
        time.sleep(3.5)
        *_, found = parts

        assert isinstance(found, Decoded)
        assert found.reason == ""


def test_a_clip_that_takes_too_much_memory_is_given_up(
    clip: Path, tmp_path: Path, child: Callable[[], int | None]
) -> None:
    Pillow.new("RGB", (6000, 6000)).save(tmp_path / "large.png", compress_level=1)
    with Decoder() as decoder:
        _with(decoder, clip, settings())
        first = child()
        assert first is not None
        used = int(Path(f"/proc/{first}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(first, resource.RLIMIT_AS, (used + 50 * 2**20,) * 2)
        result = _with(decoder, tmp_path / "large.png", settings())

        assert "MiB to decode" in result.found.reason
        assert result.frames == []
        assert _with(decoder, clip, settings()) == decode(clip, settings())


def test_a_record_that_is_too_large_ends_the_process(
    clip: Path, child: Callable[[], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a pipe holds, so that the process waits for its reader while it is given up."""
    large = settings(fps=25, width=640, height=480, encoding="jpeg")
    with Decoder() as decoder:
        _with(decoder, clip, settings())
        first = child()
        assert first is not None
        alarm = threading.Timer(20, os.kill, (first, signal.SIGKILL))
        alarm.start()
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.clips.decoder_process._MAX_MESSAGE_BYTES", 2**17)
            result = _with(decoder, clip, large)
        alarm.cancel()

        assert result.found.reason == "has a record of more than 0.00012207 GiB; give fewer --max_frames"
        assert child() is None
        assert sum(map(len, _with(decoder, clip, large).frames)) > 2**17


def test_the_process_limits_its_memory(clip: Path, child: Callable[[], int | None]) -> None:
    with Decoder() as decoder:
        _with(decoder, clip, settings())
        first = child()

        assert first is not None
        assert resource.prlimit(first, resource.RLIMIT_AS) == (4 * 2**30,) * 2


def test_a_clip_that_was_given_up_leaves_nothing_for_the_next(clip: Path, long_clip: Path) -> None:
    with Decoder() as decoder:
        parts = decoder.decode(str(long_clip), settings(**_SLOW))
        next(parts)
        parts.close()  # type: ignore[attr-defined]

        assert _with(decoder, clip, settings()) == decode(clip, settings())


_PARENT = """
import sys
from pipeline.clips.decoder_process import Decoder
from pipeline.clips.frame_settings import FrameSettings

settings = FrameSettings.from_json({"fps": "25", "width": 1280, "height": 960, "fit": "pad", "channels": 3,
    "encoding": "png", "jpeg_quality": 90, "max_frames": 1})
parts = Decoder().decode(sys.argv[1], settings)
next(parts)
if sys.argv[2] == "idle":
    list(parts)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_process_ends_with_its_parent(state: str, clip: Path, long_clip: Path) -> None:
    path = clip if state == "idle" else long_clip
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(path), state],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        found = children(parent.pid, _MODULE)
        assert len(found) == 1
        parent.kill()
        parent.wait(10)
    wait_until_gone(found, 20)


def test_both_give_the_same_bytes_twice(tmp_path: Path) -> None:
    Video(frames=pictures(30, 320, 240), options={"bf": "3"})(tmp_path / "a.mp4")
    to = settings(width=96, height=96, fit="crop", encoding="jpeg")
    with Decoder() as first, Decoder() as second:
        assert _with(first, tmp_path / "a.mp4", to) == _with(second, tmp_path / "a.mp4", to)
