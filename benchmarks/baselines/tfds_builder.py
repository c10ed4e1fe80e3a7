"""Program: the same sequences as a TFDS data set, written by TFDS itself, for comparison.

A `tfds.core.GeneratorBasedBuilder` over Beam as TFDS documents it, with an element for every example; or, at
its best, with an element for many, sampled and drawn by `pipeline`'s own functions a block at a time, so that
what differs is TFDS' way of writing. Its one argument is an object of JSON, the arguments of `build`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_datasets as tfds

from benchmarks.data import IMAGE_SIZE, SEED
from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import run
from pipeline.generation.runners import choose_runner
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import CLASS_NAMES, draw_frames, random_words, sample_sequences

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


def build(output_dir: str, encoding: str, num_sequences: int, sequences_per_element: int = 1) -> int:
    """Make the data set, all in one split, with so many sequences a Beam element; 0, the exit code.

    Raises:
        WorkError: if TFDS wrote another number.
    """
    # A process for every core. On two cores "in_memory" was about as fast for few sequences and for frames,
    # and slower for a million paths; "multi_threading" failed, or lost sequences without a word.
    runner, options = choose_runner(None, None, None, ())
    size = {"num_sequences": num_sequences, "sequences_per_element": sequences_per_element}
    builder = MovingLine(**size, config=encoding, data_dir=output_dir)
    config = tfds.download.DownloadConfig(beam_runner=runner, beam_options=options, try_download_gcs=False)
    builder.download_and_prepare(download_config=config)
    written = builder.info.splits["train"].num_examples
    if written != num_sequences:
        raise WorkError(f"TFDS wrote {written} sequences of {num_sequences}")
    return 0


# A program: beside a builder of an imported module TFDS looks for files, by a package that may be missing.
if __name__ == "__main__":
    run("benchmarks.baselines.tfds_builder", lambda arguments: build(**json.loads(arguments[0])))
