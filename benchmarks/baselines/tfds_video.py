"""Program: clips as a TFDS data set with `features.Video`, written by TFDS with Beam, for comparison."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import imageio_ffmpeg
import tensorflow_datasets as tfds

from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import run
from pipeline.generation.runners import choose_runner

PROGRAM = "benchmarks.baselines.tfds_video"
_WIDTH, _HEIGHT, _FPS = 300, 128, 8
_QUALITY = {"png": (), "jpeg": ("-q:v", "2")}


class Clips(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS has no types.
    """A folder of classes of clips as TFDS' documentation has it: its own ffmpeg cuts and scales each."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("png", "jpeg")]  # noqa: RUF012

    def __init__(self, *, source: Path, **options: Any) -> None:
        self._source = source
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        # Scaled to cover the frame and cut in the middle, as `--fit crop` does.
        scale = f"scale={_WIDTH}:{_HEIGHT}:force_original_aspect_ratio=increase:flags=area"
        filters = f"fps={_FPS},{scale},crop={_WIDTH}:{_HEIGHT}"
        video = tfds.features.Video(
            shape=(None, _HEIGHT, _WIDTH, 3),
            encoding_format=self.builder_config.name,
            ffmpeg_extra_args=("-vf", filters, *_QUALITY[self.builder_config.name]),
        )
        names = sorted(each.name for each in self._source.iterdir())
        features = {"video": video, "label": tfds.features.ClassLabel(names=names)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, beam.PTransform]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> beam.PTransform:
        paths = sorted(str(path) for path in self._source.rglob("*.mp4"))
        return beam.Create(paths) | beam.Reshuffle() | beam.Map(_example)


def _example(path: str) -> tuple[str, dict[str, Any]]:
    return path, {"video": path, "label": Path(path).parent.name}


def main(arguments: Sequence[str]) -> int:
    """Make the data set."""
    parser = ArgumentParser(
        PROGRAM,
        "Write clips with TFDS and Beam, for comparison.",
        f"python -m {PROGRAM} --source /tmp/clips --output_dir /tmp/baseline --encoding png",
    )
    add = parser.add_argument
    add("--source", required=True, type=Path, help="folder of a folder a class")
    add("--output_dir", required=True, help="TFDS' data_dir")
    add("--encoding", choices=("png", "jpeg"), default="png", help="of frames; png is TFDS' default")
    flags = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:  # TFDS starts the program that PATH names ffmpeg.
        os.symlink(imageio_ffmpeg.get_ffmpeg_exe(), Path(folder) / "ffmpeg")
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        # One worker: TFDS' ffmpeg uses every core, and with a worker process a core it was slower.
        runner, options = choose_runner(None, 1, None, ())
        builder = Clips(source=flags.source, config=flags.encoding, data_dir=flags.output_dir)
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                beam_runner=runner, beam_options=options, try_download_gcs=False
            )
        )
    written, there = builder.info.splits["train"].num_examples, len(list(flags.source.rglob("*.mp4")))
    if written != there:
        raise WorkError(f"TFDS wrote {written} clips of {there}")
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
