"""Reading a finished data set's sequences back, without TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline import files
from pipeline.encodings import ENCODINGS
from pipeline.lines import Int64Array, Uint8Array
from pipeline.manifest import MANIFEST_NAME, Manifest
from pipeline.program import RequestError, WorkError
from pipeline.tfrecord import read_records


@dataclass(frozen=True)
class Dataset:
    """A finished data set on disk."""

    directory: str
    manifest: Manifest

    @classmethod
    def open(cls, directory: str) -> Dataset:
        """Open a data set by its manifest.

        Raises:
            RequestError: if the directory is not there or is not a finished data set.
        """
        path = files.join(directory, MANIFEST_NAME)
        if not files.exists(path):
            raise RequestError(missing_dataset(directory, os.path.isdir(directory)))
        return cls(directory, Manifest.from_bytes(files.read_bytes(path), path))

    def read(self, split: str, first: int, count: int) -> tuple[Uint8Array, Int64Array]:
        """Read sequences ``first`` .. ``first + count - 1`` of a split.

        Returns:
            paths, uint8 of shape (count, S), and labels, int64 of shape (count,).

        Raises:
            RequestError: if the split has no such sequences.
            WorkError: if a shard is damaged or missing.
        """
        total = self.manifest.splits[split].num_sequences
        if first + count > total:
            raise RequestError(
                f"sequences {first} to {first + count - 1} of split {split}: {self.directory} has {total}"
            )
        size = self.manifest.settings.image_size
        encoding = ENCODINGS[self.manifest.settings.encoding]
        paths, labels = np.empty((count, size), np.uint8), np.empty(count, np.int64)
        for shard in self.manifest.splits[split].shards:
            start = max(first, shard.first_sequence)
            stop = min(first + count, shard.first_sequence + shard.num_sequences)
            if start >= stop:
                continue
            path = files.join(self.directory, shard.file)
            try:
                with files.open_binary(path) as stream:
                    wanted = islice(
                        read_records(stream), start - shard.first_sequence, stop - shard.first_sequence
                    )
                    for position, payload in enumerate(wanted, start - first):
                        paths[position], labels[position] = encoding.decode_record(payload, size)
            except (OSError, ValueError) as error:
                raise WorkError(f"{path}: {error}") from error
        return paths, labels


def missing_dataset(directory: str, exists: bool) -> str:
    """What to tell somebody who named a directory that is not a data set."""
    if not exists:
        return f"--data_dir {directory}: no such directory; make it with python -m pipeline.generate"
    return (
        f"--data_dir {directory}: has no {MANIFEST_NAME}, so it is not a finished data set;"
        " run pipeline.generate to its end"
    )
