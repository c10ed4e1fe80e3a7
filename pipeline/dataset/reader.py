"""Reads the records of a finished data set, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.storage import files
from pipeline.storage.tfrecord import read_records


@dataclass(frozen=True)
class Dataset:
    """A finished data set on disk or on an object store.

    Attributes:
        directory: path of the data set.
        manifest: its manifest.
    """

    directory: str
    manifest: Manifest

    @classmethod
    def open(cls, directory: str) -> Dataset:
        """Open a data set by reading its manifest.

        Raises:
            RequestError: if there is no such directory, it holds no finished data set, or its manifest cannot
                be read or is damaged.
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

    def num_sequences(self, split: str) -> int:
        """Number of sequences of a split.

        Raises:
            RequestError: if the data set has no such split.
        """
        if split not in self.manifest.splits:
            raise RequestError(f"--split {split}: give one of {', '.join(self.manifest.splits)}")
        return self.manifest.splits[split].num_sequences

    def read(self, split: str, first: int, count: int) -> Iterator[bytes]:
        """Yield the payloads of records ``first`` .. ``first + count - 1`` of a split.

        Raises:
            RequestError: if the data set has no such split, or the split no such records.
            WorkError: if a shard is missing, damaged or has too few records.
        """
        total = self.num_sequences(split)
        if first + count > total:
            raise RequestError(
                f"sequences {first} to {first + count - 1} of split {split}: {self.directory} has {total}"
            )
        for shard in self.manifest.splits[split].shards:
            start = max(first, shard.first_sequence)
            stop = min(first + count, shard.first_sequence + shard.num_sequences)
            if start >= stop:
                continue
            path, found = files.join(self.directory, shard.file), 0
            try:
                with files.open_binary(path) as stream:
                    wanted = islice(
                        read_records(stream), start - shard.first_sequence, stop - shard.first_sequence
                    )
                    for payload in wanted:
                        found += 1
                        yield payload
            except (OSError, ValueError) as error:
                raise WorkError(f"{path}: {one_line(error)}") from error
            if found != stop - start:
                raise WorkError(f"{path}: has fewer records than the manifest says")
