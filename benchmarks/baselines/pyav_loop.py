"""Program: clips to TFRecords by a plain loop over PyAV, as one writes it: a process a core, no more."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av

from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run
from pipeline.storage.tf_example import encode_example
from pipeline.storage.tfrecord import frame_record
from pipeline.workers.cores import usable_cores

PROGRAM = "benchmarks.baselines.pyav_loop"
_WIDTH, _HEIGHT, _FPS = 300, 128, 8


def convert(path: str, label: int, output: str) -> None:
    """Decode everything, keep the frame that is shown every eighth of a second, scale, compress, write."""
    images: list[bytes] = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        previous = None
        last = 0.0
        for frame in container.decode(stream):
            while previous is not None and len(images) / _FPS < frame.time:
                images.append(_jpeg(previous))
            last = frame.time + (frame.time - previous.time if previous is not None else 0)
            previous = frame
        while previous is not None and len(images) / _FPS < last - 1e-9:
            images.append(_jpeg(previous))
    Path(output).write_bytes(frame_record(encode_example({"video": images, "label": label})))


def _jpeg(frame: av.VideoFrame) -> bytes:
    scale = max(_WIDTH / frame.width, _HEIGHT / frame.height)
    width, height = round(frame.width * scale), round(frame.height * scale)
    image = frame.to_image(width=width, height=height, interpolation="AREA")
    left, top = (width - _WIDTH) // 2, (height - _HEIGHT) // 2
    stream = io.BytesIO()
    image.crop((left, top, left + _WIDTH, top + _HEIGHT)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def main(arguments: Sequence[str]) -> int:
    """Convert a folder of classes of clips."""
    parser = ArgumentParser(
        PROGRAM,
        "Write clips with a plain loop over PyAV, for comparison.",
        f"python -m {PROGRAM} --source /tmp/clips --output_dir /tmp/baseline",
    )
    parser.add_argument("--source", required=True, type=Path, help="folder of a folder a class")
    parser.add_argument("--output_dir", required=True, type=Path, help="for a file a clip")
    flags = parser.parse_args(arguments)
    flags.output_dir.mkdir(parents=True)
    paths = sorted(flags.source.rglob("*.mp4"))
    classes = sorted({path.parent.name for path in paths})
    with ProcessPoolExecutor(usable_cores()) as pool:
        jobs = [
            pool.submit(
                convert,
                str(path),
                classes.index(path.parent.name),
                str(flags.output_dir / f"{number}.tfrecord"),
            )
            for number, path in enumerate(paths)
        ]
        for job in jobs:
            job.result()
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
