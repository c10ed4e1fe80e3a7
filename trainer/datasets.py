"""A data set as the trainer sees it: its manifest and the paths of its shards."""

from __future__ import annotations

import os
from dataclasses import dataclass

import tensorflow as tf

from pipeline.encodings import ENCODINGS, Encoding
from pipeline.manifest import MANIFEST_NAME, Manifest
from pipeline.program import RequestError


@dataclass(frozen=True)
class SplitFiles:
    """What is needed to read a split.

    Attributes:
        paths: of its shards, in order.
        counts: sequences in each shard.
        image_size: S.
        encoding: how the records hold the sequences.
    """

    paths: tuple[str, ...]
    counts: tuple[int, ...]
    image_size: int
    encoding: Encoding

    @property
    def num_sequences(self) -> int:
        """Sequences in all shards."""
        return sum(self.counts)


def read_manifest(data_dir: str) -> Manifest:
    """The manifest of a data set, by TensorFlow's file systems.

    Raises:
        RequestError: if there is no finished data set.
    """
    path = os.path.join(data_dir, MANIFEST_NAME)
    try:
        return Manifest.from_bytes(tf.io.gfile.GFile(path, "rb").read(), path)
    except tf.errors.NotFoundError:
        pass
    if not tf.io.gfile.exists(data_dir):
        raise RequestError(
            f"--data_dir {data_dir}: no such directory; make it with python -m pipeline.generate"
        )
    raise RequestError(
        f"--data_dir {data_dir}: has no {MANIFEST_NAME}, so it is not a finished data set;"
        " run pipeline.generate to its end"
    )


def split_files(data_dir: str, manifest: Manifest, split: str) -> SplitFiles:
    """The shards of a split.

    Raises:
        RequestError: if a shard is missing.
    """
    shards = manifest.splits[split].shards
    present = set(tf.io.gfile.listdir(data_dir))
    if missing := [shard.file for shard in shards if shard.file not in present]:
        raise RequestError(
            f"--data_dir {data_dir}: {len(missing)} of {len(shards)} shards of split {split} are missing,"
            f" the first is {missing[0]}; restore them or generate the data set again"
        )
    return SplitFiles(
        tuple(os.path.join(data_dir, shard.file) for shard in shards),
        tuple(shard.num_sequences for shard in shards),
        manifest.settings.image_size,
        ENCODINGS[manifest.settings.encoding],
    )
