"""Reads the sequences of a finished data set of moving lines, without TensorFlow."""

from __future__ import annotations

import numpy as np

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.dataset.reader import Dataset
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.lines import Int64Array, Uint8Array


def read_lines(dataset: Dataset, split: str, first: int, count: int) -> tuple[Uint8Array, Int64Array]:
    """Read sequences ``first`` .. ``first + count - 1`` of a split.

    Returns:
        paths, uint8 of shape (count, S), and labels, int64 of shape (count,).

    Raises:
        RequestError: if the data set is of another kind, or has no such split or sequences.
        WorkError: if a shard is damaged or missing.
    """
    definition = dataset.manifest.definition
    if not isinstance(definition, MovingLine):
        raise RequestError(f"--data_dir {dataset.directory}: holds {definition.name}, no moving lines")
    paths, labels = np.empty((count, definition.image_size), np.uint8), np.empty(count, np.int64)
    for place, payload in enumerate(dataset.read(split, first, count)):
        try:
            paths[place], labels[place] = definition.codec.decode_record(payload, definition.image_size)
        except ValueError as error:
            where = f"{dataset.directory}: sequence {first + place} of split {split}"
            raise WorkError(f"{where}: {one_line(error)}") from error
    return paths, labels
