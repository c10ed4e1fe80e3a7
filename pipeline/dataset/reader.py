"""Reading a finished data set's sequences back, without TensorFlow."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import Int64Array, Uint8Array
from pipeline.storage import files
from pipeline.storage.tfrecord import read_records


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
        try:
            path = files.join(directory, MANIFEST_NAME)
            if not files.file_exists(path):
                raise Manifest.missing(directory, files.directory_exists(directory))
            return cls(directory, Manifest.from_bytes(files.read_bytes(path), path))
        except (OSError, ValueError) as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(f"--data_dir {directory}: cannot be read ({one_line(error)})") from error

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
                    position = start - first
                    for payload in wanted:
                        paths[position], labels[position] = encoding.decode_record(payload, size)
                        position += 1
            except (OSError, ValueError, zlib.error) as error:
                raise WorkError(f"{path}: {one_line(error)}") from error
            if position != stop - first:
                raise WorkError(f"{path}: has fewer records than the manifest says")
        return paths, labels
