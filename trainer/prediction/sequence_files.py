"""Selects the reader of a file of sequences by the file's name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pipeline.command_line.errors import RequestError
from trainer.prediction.array_files import ArrayFile
from trainer.prediction.gif_files import GifFile
from trainer.prediction.record_files import RecordFile
from trainer.prediction.stored_sequences import SequenceFile


def open_sequence_files(paths: Sequence[str]) -> list[SequenceFile]:
    """Make readers of files of sequences, after checking the start of each file. No file stays open.

    Raises:
        RequestError: with the path of the first file that is missing, of an unknown kind, or damaged.
    """
    return [_open(path) for path in paths]


def _open(path: str) -> SequenceFile:
    name = os.path.basename(path).lower()
    kind: type[ArrayFile | GifFile | RecordFile]
    if name.endswith((".npy", ".npz")):
        kind = ArrayFile
    elif name.endswith(".gif"):
        kind = GifFile
    elif ".tfrecord" in name:
        kind = RecordFile
    else:
        raise RequestError(
            f"--input {path}: name files that end in .npy, .npz or .gif, or TFRecords (.tfrecord)"
        )
    if not os.path.isfile(path):
        reason = "is not a file" if os.path.exists(path) else "no such file"
        raise RequestError(f"--input {path}: {reason}")
    return kind(path)
