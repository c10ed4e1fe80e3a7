"""Data sets on file systems that only Beam knows: their shards are copied to this machine for TensorFlow."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import tensorflow as tf

from pipeline import files
from pipeline.manifest import Manifest, ShardRecord
from pipeline.program import WorkError
from trainer.datasets import remedy

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
        on_corrupt: "skip" copies damaged shards as they are and leaves out missing ones.

    Raises:
        WorkError: with "fail", naming a shard that is missing or not as the manifest says.
        OSError: if there is no room for the copies.
    """
    if tensorflow_reads(data_dir):
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="moving_line-") as directory:

        def fetch(record: ShardRecord) -> None:
            source = files.join(data_dir, record.file)
            try:
                sha256 = _copy(source, os.path.join(directory, record.file))
            except FileNotFoundError:
                sha256 = None
            if on_corrupt == "fail" and sha256 != record.sha256:
                reason = "is missing" if sha256 is None else "is not as the manifest says"
                raise WorkError(f"{source}: {reason}; {remedy(data_dir)}")

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(fetch, manifest.splits[split].shards))
        yield directory


def _copy(source: str, destination: str) -> str:
    """Copy a file to this machine; hexadecimal digest of its bytes."""
    if not files.file_exists(source):
        raise FileNotFoundError(source)
    digest = hashlib.sha256()
    with files.open_binary(source) as stream:
        try:
            with open(destination, "wb") as copy:
                while block := stream.read(_READ_BYTES):
                    digest.update(block)
                    copy.write(block)
        except OSError as error:
            if error.errno is None:  # Of the source.
                raise
            reason = f"{error.strerror} (temporary files; TMPDIR names another place for them)"
            raise OSError(error.errno, reason, destination) from error
    return digest.hexdigest()
