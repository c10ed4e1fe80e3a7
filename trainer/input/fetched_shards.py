"""Data sets on file systems that only Beam knows: their shards are copied to this machine for TensorFlow."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import tensorflow as tf

from pipeline.command_line.errors import WorkError, one_line
from pipeline.dataset.manifest import Manifest
from pipeline.storage import files
from trainer.input.split_files import remedy

_READ_BYTES = 2**22
_AT_ONCE = 8


def tensorflow_reads(path: str) -> bool:
    """Whether TensorFlow knows the file system of a path."""
    try:
        tf.io.gfile.exists(path)
    except tf.errors.UnimplementedError:
        return False
    except tf.errors.OpError:  # It knows it, and has another complaint.
        return True
    return True


@contextmanager
def fetched(data_dir: str, manifest: Manifest, split: str, on_corrupt: str) -> Iterator[str]:
    """A directory with the shards of a split that TensorFlow can read, for as long as the block lasts.

    Args:
        data_dir: of the data set.
        manifest: its manifest.
        split: which split.
        on_corrupt: "skip" copies damaged shards as they are and leaves out missing ones; it needs the digests
            of records besides, where these are kept.

    Raises:
        WorkError: with "fail", naming a shard that is missing or not as the manifest says; or if there is no
            room for the copies.
    """
    if tensorflow_reads(data_dir):
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="moving_line-") as directory:

        def fetch(wanted: tuple[str, str]) -> None:
            name, expected = wanted
            source = files.join(data_dir, name)
            try:
                sha256 = _copy(source, os.path.join(directory, name))
                reason = "" if sha256 == expected else "is not as the manifest says"
            except _SourceError as error:
                reason = str(error)
            if on_corrupt == "fail" and reason:
                raise WorkError(f"{source}: {reason}; {remedy(data_dir)}")

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(fetch, _wanted(manifest, split, on_corrupt)))
        yield directory


def _wanted(manifest: Manifest, split: str, on_corrupt: str) -> Iterator[tuple[str, str]]:
    """Names and SHA-256 of the files that are to be copied."""
    for shard, entry in manifest.listed_shards().items():
        if shard.split == split:
            yield entry.file, entry.sha256
            if on_corrupt == "skip" and entry.digests_sha256 is not None:
                yield shard.digests_name, entry.digests_sha256


def temporary_file(path: str) -> BinaryIO:
    """Open a temporary file for writing.

    Raises:
        WorkError: if it cannot be written, and so does writing to it: this is no damage of what is copied.
    """
    return cast(BinaryIO, io.BufferedWriter(_TemporaryFile(path)))


class _TemporaryFile(io.FileIO):
    def __init__(self, path: str) -> None:
        self._directory = os.path.dirname(path)
        with self._no_damage():
            super().__init__(path, "wb")

    def write(self, content: Any, /) -> int:
        with self._no_damage():
            return super().write(content)

    @contextmanager
    def _no_damage(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"{error.strerror} (temporary files; TMPDIR names another place for them)"
            raise WorkError(f"{self._directory}: {reason}") from error


class _SourceError(Exception):
    """A file cannot be read; the message says why."""


def _copy(source: str, destination: str) -> str:
    """Copy a file to this machine; hexadecimal digest of its bytes."""
    digest = hashlib.sha256()
    with temporary_file(destination) as copy:
        for block in _blocks(source):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()


def _blocks(path: str) -> Iterator[bytes]:
    try:
        if not files.file_exists(path):
            raise _SourceError("is missing")
        with files.open_binary(path) as stream:
            while block := stream.read(_READ_BYTES):
                yield block
    except OSError as error:
        raise _SourceError(f"cannot be read ({one_line(error)})") from error
