"""Program: the same sequences as a TFDS data set, written by TFDS itself, for comparison.

A `tfds.core.GeneratorBasedBuilder` over Beam as TFDS documents it, with an element for every example; or, at
its best, with an element for many, sampled and drawn by `pipeline`'s own functions a block at a time, so that
what differs is TFDS' way of writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_datasets as tfds

from benchmarks.agreement import IMAGE_SIZE, SEED
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import run
from pipeline.generation.runners import choose_runner
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import CLASS_NAMES, draw_frames, random_words, sample_sequences

PROGRAM = "benchmarks.baselines.tfds_builder"

# Drawn a few at a time, as the product does, so that they stay in the processor's cache.
_SEQUENCES_PER_DRAWING = 16


class MovingLine(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS has no types.
    """Moving lines as TFDS writes them; a config for each encoding."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ENCODINGS]  # noqa: RUF012  # TFDS' way.

    def __init__(self, *, num_sequences: int, sequences_per_element: int, **options: Any) -> None:
        self._num_sequences = num_sequences
        self._sequences_per_element = sequences_per_element
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        encoding = ENCODINGS[self.builder_config.name]
        # For a path TFDS' "bytes" gave records of the same size no faster.
        stored = "zlib" if encoding.name == "frames" else "none"
        features = {
            encoding.feature: tfds.features.Tensor(
                shape=encoding.shape(IMAGE_SIZE), dtype=np.uint8, encoding=stored
            ),
            "label": tfds.features.ClassLabel(names=list(CLASS_NAMES)),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, beam.PTransform]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> beam.PTransform:
        if self._sequences_per_element == 1:
            indices = beam.Create(range(self._num_sequences)) | beam.Reshuffle()
            return indices | beam.Map(_example, feature=self.builder_config.name)
        starts = range(0, self._num_sequences, self._sequences_per_element)
        blocks = [(first, min(self._sequences_per_element, self._num_sequences - first)) for first in starts]
        return (
            beam.Create(blocks) | beam.Reshuffle() | beam.FlatMap(_examples, feature=self.builder_config.name)
        )


def _examples(block: tuple[int, int], feature: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Keys and examples of the block's sequences, the first of it and their number."""
    first, count = block
    paths, labels = sample_sequences(SEED, "train", IMAGE_SIZE, first, count)
    for start in range(0, count, _SEQUENCES_PER_DRAWING):
        few = slice(start, start + _SEQUENCES_PER_DRAWING)
        contents = draw_frames(paths[few], labels[few]) if feature == "frames" else paths[few]
        for index, content in enumerate(contents, start):
            yield first + index, {feature: content, "label": int(labels[index])}


def _example(index: int, feature: str) -> tuple[int, dict[str, Any]]:
    """Key and example of one sequence, sampled step by step: arrays of one would be slower."""
    words = random_words(SEED, "train", IMAGE_SIZE, index, 1)[0].tolist()
    label, row = words[0] * 2 >> 32, words[1] * IMAGE_SIZE >> 32
    path = [row]
    for word in words[2 : IMAGE_SIZE + 1]:
        low, high = max(0, row - 1), min(IMAGE_SIZE - 1, row + 1)
        row = low + (word * (high - low + 1) >> 32)
        path.append(row)
    content = np.array(path, np.uint8)
    if feature == "frames":
        content = draw_frames(content[None], np.array([label]))[0]
    return index, {feature: content, "label": label}


def main(arguments: Sequence[str]) -> int:
    """Make the data set."""
    parser = ArgumentParser(
        PROGRAM,
        "Write moving lines with TFDS and Beam, for comparison.",
        f"python -m {PROGRAM} --output_dir /tmp/baseline --encoding path --num_sequences 100000",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="TFDS' data_dir")
    add("--encoding", choices=tuple(ENCODINGS), default="path", help="what a record holds")
    add("--num_sequences", type=positive_int, default=100_000, help="sequences, all in one split")
    add(
        "--sequences_per_element",
        type=positive_int,
        default=1,
        help="sequences that a Beam element stands for",
    )
    flags = parser.parse_args(arguments)
    # A process for every core. On two cores "in_memory" was about as fast for few sequences and for frames,
    # and slower for a million paths; "multi_threading" failed, or lost sequences without a word.
    runner, options = choose_runner(None, None, None, ())
    builder = MovingLine(
        num_sequences=flags.num_sequences,
        sequences_per_element=flags.sequences_per_element,
        config=flags.encoding,
        data_dir=flags.output_dir,
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            beam_runner=runner, beam_options=options, try_download_gcs=False
        )
    )
    written = builder.info.splits["train"].num_examples
    if written != flags.num_sequences:
        raise WorkError(f"TFDS wrote {written} sequences of {flags.num_sequences}")
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
