"""Whether data sets that are compared hold what they should."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np

from pipeline.command_line.errors import WorkError
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import LEFT, RIGHT, Uint8Array, draw_frames, sample_sequences
from pipeline.storage.tfrecord import read_records
from trainer.command_line.startup import import_tensorflow_quietly

SEED, IMAGE_SIZE = 0, 50


def check_agreement(directory: Path, encoding: str, count: int) -> None:
    """Hold a train split against the first ``count`` sequences, in whatever order it has them.

    Args:
        directory: that of the data set, or one above it.
        encoding: how it holds them.
        count: how many it should hold.

    Raises:
        WorkError: if it holds others, or not all of them.
    """
    import_tensorflow_quietly()
    import tensorflow_datasets as tfds

    (info,) = directory.rglob("dataset_info.json")
    examples = tfds.builder_from_directory(info.parent).as_dataset(split="train").as_numpy_iterator()
    feature = ENCODINGS[encoding].feature
    found = sorted(_digest(example[feature], example["label"]) for example in examples)
    paths, labels = sample_sequences(SEED, "train", IMAGE_SIZE, 0, count)
    contents = draw_frames(paths, labels) if encoding == "frames" else paths
    expected = sorted(_digest(content, label) for content, label in zip(contents, labels, strict=True))
    if found != expected:
        raise WorkError(f"{info.parent}: does not hold the first {count} sequences, each once")


def check_lines(path: Path, encoding: str, count: int) -> None:
    """Check that a file of records holds so many sequences that the definition allows.

    Raises:
        WorkError: if it does not.
    """
    try:
        with path.open("rb") as stream:
            labels = [
                ENCODINGS[encoding].decode_record(record, IMAGE_SIZE)[1] for record in read_records(stream)
            ]
    except ValueError as error:
        raise WorkError(f"{path}: {error}") from error
    if len(labels) != count or set(labels) != {LEFT, RIGHT}:
        raise WorkError(f"{path}: does not hold {count} sequences of both classes")


def _digest(content: Uint8Array, label: np.int64) -> tuple[bytes, int]:
    """A sequence, small enough to keep many."""
    return sha256(content.tobytes()).digest(), int(label)
