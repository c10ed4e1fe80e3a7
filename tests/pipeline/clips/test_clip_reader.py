"""A clip of the index is decoded again: only what is wanted is kept, and what is wrong is said as it is."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.clips.clip_reader import ClipReader
from pipeline.clips.decoder_process import Decoder
from pipeline.clips.definition import Clips
from pipeline.clips.sources import Source
from pipeline.command_line.errors import WorkError
from tests.pipeline.clips.clip_folders import class_folders, still, write


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with Decoder() as process:
        yield process


def _reader(tmp_path: Path) -> tuple[ClipReader, list[Source]]:
    """Reads records of one frame."""
    asked = Clips(source=str(tmp_path / "S"), frame_size="8", max_frames=1, splits="100,0,0", clip_timeout=9)
    definition = asked.listed(str(tmp_path / "D"))
    return definition._reader(), definition.listing().sources


def test_only_what_is_wanted_is_kept(tmp_path: Path, decoder: Decoder) -> None:
    write(tmp_path / "S", class_folders(["a"], 1))
    reader, (source,) = _reader(tmp_path)
    made: list[bytes] = []
    entry = reader.read(source, decoder, made.append)
    assert len(made) == 4
    assert reader.payloads(entry, decoder, 1, 2) == made[1:3]
    assert reader.payloads(entry, decoder, 3, 1) == made[3:]
    assert reader.problem(entry, decoder) == ""


def test_what_is_wrong_is_the_versions_only_if_nothing_else_is(tmp_path: Path, decoder: Decoder) -> None:
    write(tmp_path / "S", class_folders(["a"], 1))
    reader, (source,) = _reader(tmp_path)
    entry = reader.read(source, decoder, len)
    other = replace(entry, records=("0" * 64, *entry.records[1:]))
    assert reader.problem(other, decoder).startswith("this program decodes other frames than the index says")
    hasty = replace(reader, settings=replace(reader.settings, timeout=1e-4))
    assert hasty.problem(entry, decoder) == (
        "took longer than 0.0001 s to decode, which was not so when it was indexed"
    )
    with pytest.raises(WorkError, match=r"/S/a/0\.mp4: took longer than 0\.0001 s to decode, which was not"):
        hasty.payloads(entry, decoder, 0, 1)


def test_a_pipe_named_like_an_image_ends_nothing(tmp_path: Path, decoder: Decoder) -> None:
    write(tmp_path / "S", {f"a/walk/{number}.png": still(number) for number in range(2)})
    pipe = tmp_path / "S" / "a" / "walk" / "2.png"
    os.mkfifo(pipe)
    reader, (source,) = _reader(tmp_path)
    # If it is opened to read, this is what lets the reader go on.
    alarm = threading.Timer(5, lambda: os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK)))
    alarm.start()
    entry = reader.read(source, decoder, len)
    alarm.cancel()
    assert entry.reason == "cannot be read (2.png: is no regular file)"
