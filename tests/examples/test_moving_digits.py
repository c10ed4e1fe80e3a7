"""The example that writes video files of moving digits."""

import hashlib
import re
import subprocess
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from moving_digits import (
    DIRECTIONS,
    MOTIONS,
    NUM_FRAMES,
    SIDE,
    SPLITS,
    TURNS,
    draw_digit,
    make_captioned_clip,
    make_clip,
    write_clips,
)
from sklearn.datasets import load_digits

from pipeline.clips.sources import list_sources
from pipeline.command_line.errors import RequestError
from tests.processes import run_python

SEED, NUM_CLIPS, NUM_CAPTIONED = 3, 80, 120
# Of what some clips without captions show, and of the file of settings.
PLANS_SHA256 = "89d21eaa5b0906b4d38600882c9c39a87a3f249c0f1390fdd1744fee7a318d60"
NAME = re.compile(r"(\w+)/(\w+)/\d{5}-digit(\d{4})-(\w+)-(\w+)\.(\w+)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("digits") / "d"
    write_clips(str(directory), SEED, NUM_CLIPS, num_workers=1)
    return directory


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("digits") / "c"
    write_clips(str(directory), SEED, NUM_CAPTIONED, num_workers=1, has_captions=True)
    return directory


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _write(folder: Path, num_clips: int = NUM_CLIPS, *more: str) -> "subprocess.CompletedProcess[str]":
    flags = [f"--output_dir={folder}", f"--seed={SEED}", f"--num_clips={num_clips}", "--num_workers=2"]
    return run_python("examples/moving_digits.py", *flags, *more)


def test_every_class_is_in_every_split_of_the_source(folder: Path) -> None:
    listing = list_sources(str(folder), None, None, False)
    found = Counter((each.split, each.label) for each in listing.sources)
    expected = {"train": 8, "validation": 1, "test": 1}
    assert found == {(split, motion): expected[split] for split in SPLITS for motion in MOTIONS}
    assert list(listing.ignored) == ["moving_digits.json"]


def test_files_are_videos_in_six_formats(folder: Path) -> None:
    formats = set()
    for source in list_sources(str(folder), None, None, False).sources:
        with av.open(str(folder / source.path)) as video:
            stream = video.streams.video[0]
            frames = [(frame.width, frame.height) for frame in video.decode(stream)]
            assert frames == [(SIDE, SIDE)] * NUM_FRAMES
            assert stream.average_rate == 8
            formats.add((source.path.rpartition(".")[2], stream.codec_context.codec.canonical_name))
    expected = {"mp4": "h264", "webm": "vp8", "mkv": "ffv1", "avi": "mpeg4", "mov": "mjpeg", "flv": "flv1"}
    assert formats == set(expected.items())


def test_splits_share_no_digit_and_no_scene(folder: Path) -> None:
    digits: dict[str, set[str]] = {split: set() for split in SPLITS}
    scenes: dict[str, set[str]] = {split: set() for split in SPLITS}
    for name in _files(folder).keys() - {"moving_digits.json"}:
        found = NAME.fullmatch(name)
        assert found is not None
        split, motion, digit, scene, again, _ = found.groups()
        assert motion == again
        digits[split].add(digit)
        scenes[split].add(scene)
    for sets in (digits, scenes):
        assert len(set.union(*sets.values())) == sum(map(len, sets.values()))
    assert len(digits["train"]) > 40


def test_processes_write_the_same_bytes_and_only_what_is_missing(folder: Path, tmp_path: Path) -> None:
    done = _write(tmp_path / "d")
    assert (done.returncode, done.stdout) == (0, f"80 clips of 8 classes: {tmp_path / 'd'}\n")
    expected = _files(folder)
    assert _files(tmp_path / "d") == expected

    lost, kept = sorted(path for path in (tmp_path / "d").rglob("*.*") if path.suffix != ".json")[:2]
    time = kept.stat().st_mtime_ns
    lost.rename(lost.with_name(f".{lost.name}.tmp"))
    lost.with_name(f".{lost.name}.tmp").write_bytes(b"half of it")
    write_clips(str(tmp_path / "d"), SEED, NUM_CLIPS, num_workers=1)
    assert _files(tmp_path / "d") == expected
    assert kept.stat().st_mtime_ns == time


@pytest.mark.parametrize("number", range(3 * len(MOTIONS)))
def test_digits_move_as_their_class_says(number: int) -> None:
    clip = make_clip(SEED, "train", number, np.arange(1))
    bar = np.zeros((8, 8))
    bar[3:5] = 1
    # Only frames that hold all of the bar, so that its moments are its own.
    path = clip.path.copy()
    path[:, :2] += 32 - path[:, :2].mean(0)
    images = draw_digit(bar, path)
    assert images.shape == (NUM_FRAMES, SIDE, SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mass = images.sum((1, 2))
    x, y = ((images * at).sum((1, 2)) / mass for at in (columns, rows))
    xx, yy, xy = (
        (images * (one - p[:, None, None]) * (two - q[:, None, None])).sum((1, 2)) / mass
        for one, p, two, q in [(columns, x, columns, x), (rows, y, rows, y), (columns, x, rows, y)]
    )
    angle = np.unwrap(np.arctan2(2 * xy, xx - yy)) / 2  # From the x axis to the y axis, which points down.
    changes = {
        "right": x[-1] - x[0],
        "down": y[-1] - y[0],
        "in": (mass[-1] - mass[0]) / mass.mean() * 20,
        "clockwise": np.degrees(angle[-1] - angle[0]) / 5,
    }
    opposites = {"left": "right", "up": "down", "out": "in", "counterclockwise": "clockwise"}
    moved = opposites.get(clip.motion, clip.motion)
    assert (changes[moved] > 0) == (clip.motion == moved)
    assert abs(changes.pop(moved)) > 15
    assert max(map(abs, changes.values())) < 2


def test_the_middle_of_a_clip_says_nothing_of_the_motion() -> None:
    clips = [make_clip(SEED, "train", number, np.arange(1797)) for number in range(400 * len(MOTIONS))]
    middles = np.array([[*clip.path[:, :2].mean(0), *np.median(clip.path[:, 2:], 0)] for clip in clips])
    by_motion = middles.reshape(400, len(MOTIONS), 4)
    errors = middles.std(0) / 400**0.5
    assert (np.abs(by_motion.mean(0) - middles.mean(0)) < 4 * errors).all()
    digits = np.array([clip.digit for clip in clips]).reshape(400, len(MOTIONS))
    assert (np.abs(digits.mean(0) - 898) < 4 * 519 / 20).all()


def test_clips_without_captions_stay_what_they_are(folder: Path) -> None:
    digest = hashlib.sha256((folder / "moving_digits.json").read_bytes())
    for number in range(64):
        clip = make_clip(SEED, "train", number, np.arange(1797))
        digest.update(f"{clip.name} {clip.start} {clip.corner}".encode() + clip.path.round(6).tobytes())
    assert digest.hexdigest() == PLANS_SHA256


def test_the_table_of_captions_names_every_clip(captioned: Path) -> None:
    listing = list_sources(str(captioned / "captions.csv"), None, None, False)
    targets = load_digits().target
    found: Counter[tuple[str, ...]] = Counter()
    for source in listing.sources:
        match = re.fullmatch(r"(\w+)/\d{5}-digit(\d{4})-\w+-(\w+)-(\w+)\.(\w+)", source.path)
        assert match is not None
        split, digit, first, second, _ = match.groups()
        article = "an" if targets[int(digit)] == 8 else "a"
        assert source.captions == (f"{article} {targets[int(digit)]} moves {first} then {second}",)
        assert (source.split, source.group) == (split, f"digit{digit}")
        found[split, first, second] += 1
    expected = {"train": 8, "validation": 1, "test": 1}
    assert found == {(split, *turn): expected[split] for split in SPLITS for turn in TURNS}
    files = _files(captioned).keys() - {"moving_digits.json", "captions.csv"}
    assert files == {source.path for source in listing.sources}
    assert {Path(name).suffix for name in files} == {".mp4", ".webm", ".mkv", ".avi", ".mov", ".flv"}


def test_splits_of_captioned_clips_share_no_digit(captioned: Path) -> None:
    sources = list_sources(str(captioned / "captions.csv"), None, None, False).sources
    groups = {split: {each.group for each in sources if each.split == split} for split in SPLITS}
    assert len(set.union(*groups.values())) == sum(map(len, groups.values()))


@pytest.mark.slow
def test_captioned_clips_are_the_same_from_processes_and_after_a_kill(
    captioned: Path, tmp_path: Path
) -> None:
    done = _write(tmp_path / "d", NUM_CAPTIONED, "--captions")
    assert (done.returncode, done.stdout) == (0, f"120 clips with captions: {tmp_path / 'd'}/captions.csv\n")
    expected = _files(captioned)
    assert _files(tmp_path / "d") == expected
    lost, kept = sorted(path for path in (tmp_path / "d").rglob("*-*.*"))[:2]
    time = kept.stat().st_mtime_ns
    lost.rename(lost.with_name(f".{lost.name}.tmp"))
    (tmp_path / "d" / "captions.csv").rename(tmp_path / "d" / ".captions.csv.tmp")
    write_clips(str(tmp_path / "d"), SEED, NUM_CAPTIONED, num_workers=1, has_captions=True)
    assert _files(tmp_path / "d") == expected
    assert kept.stat().st_mtime_ns == time
    with pytest.raises(RequestError, match="was made with"):
        write_clips(str(captioned), SEED, NUM_CAPTIONED, num_workers=1)


@pytest.mark.parametrize("number", range(len(TURNS)))
def test_digits_turn_in_the_middle_as_their_captions_say(number: int) -> None:
    clip = make_captioned_clip(SEED, "train", number, np.arange(1797))
    half = NUM_FRAMES // 2
    steps = np.diff(clip.path[:, :2], axis=0)
    words = clip.caption.split(" ")
    for direction, moved in zip((words[3], words[5]), (steps[: half - 1], steps[half:]), strict=True):
        np.testing.assert_allclose(moved, moved[:1].repeat(half - 1, 0), atol=1e-9)
        x, y = moved[0]
        assert (np.sign(round(x, 6)), np.sign(round(y, 6))) == DIRECTIONS[direction]
        assert 11 < np.abs(moved).sum() < 19
    assert np.ptp(clip.path[:, 2:], 0).max() == 0
    assert 26 < clip.path[0, 2] < 34
    assert (clip.path[:, :2] > 4).all()
    assert (clip.path[:, :2] < SIDE - 4).all()


def test_no_frame_of_a_captioned_clip_tells_the_second_direction() -> None:
    clips = [make_captioned_clip(SEED, "train", number, np.arange(1797)) for number in range(24_000)]
    places = np.array([clip.path[:, :2] for clip in clips])
    seconds = np.array([list(DIRECTIONS).index(clip.motion.split("-")[1]) for clip in clips])
    cells = (places / SIDE * 12).astype(int)
    for frame in range(NUM_FRAMES):
        counts = np.zeros((12, 12, 4))
        np.add.at(counts, (cells[:, frame, 0], cells[:, frame, 1], seconds), 1)
        assert counts.max(-1).sum() / len(clips) < 0.5
    captions = Counter(clip.caption for clip in clips)
    assert len(captions) == 120
    assert min(captions.values()) > 130
    assert max(captions.values()) < 270


def test_bad_requests_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "other").touch()
    for output, seed, num_clips, message in [
        (tmp_path / "a" / "other", SEED, NUM_CLIPS, "is a file"),
        (folder, SEED + 1, NUM_CLIPS, "was made with"),
        (tmp_path / "b", SEED, NUM_CLIPS - 1, "at least 80"),
    ]:
        with pytest.raises(RequestError, match=message):
            write_clips(str(output), seed, num_clips, num_workers=1)
    with pytest.raises(RequestError, match="at least 120, for every pair of directions in every split"):
        write_clips(str(tmp_path / "b"), SEED, NUM_CAPTIONED - 1, num_workers=1, has_captions=True)
    assert not (tmp_path / "b").exists()
    done = _write(tmp_path / "a")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("a: holds something else; name a new or an empty folder\n")
    assert done.stderr.count("\n") == 1
