"""A data set as the trainer sees it: its manifest and the paths of its shards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.dataset.reader import Dataset
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_view import FrameView


@dataclass(frozen=True)
class SplitFiles:
    """What is needed to read a split.

    Attributes:
        paths: of its shards, in order.
        counts: sequences in each shard.
        num_bytes: of all shards together.
        spec: of the data set.
        left_out: by shard, how many of its sequences are damaged and left out.
        numbers: of the sequences in the split, int64 (n,), where some are left out; else None.
        view: how they are shown, for kinds that choose while they read; None reads everything.
    """

    paths: tuple[str, ...]
    counts: tuple[int, ...]
    num_bytes: int
    spec: DatasetSpec
    left_out: Mapping[str, int] = field(default_factory=dict)
    numbers: npt.NDArray[np.int64] | None = field(default=None, compare=False)
    view: FrameView | None = None

    @property
    def num_sequences(self) -> int:
        """Sequences in all shards."""
        return sum(self.counts)

    def shown(self, view: FrameView | None) -> SplitFiles:
        """The same files, read as a view says."""
        return replace(self, view=view)

    def dealt(self, hand: int, hands: int) -> SplitFiles:
        """Every ``hands``-th shard, from number ``hand`` on, as if they were all."""
        counts = self.counts[hand::hands]
        num_bytes = self.num_bytes * sum(counts) // self.num_sequences
        return replace(self, paths=self.paths[hand::hands], counts=counts, num_bytes=num_bytes)


def read_manifest(data_dir: str) -> Manifest:
    """The manifest of a data set, by TensorFlow's file systems or, where it has none for the path, by Beam's.

    Raises:
        RequestError: if there is no finished data set.
    """
    path = os.path.join(data_dir, MANIFEST_NAME)
    try:
        return Manifest.from_bytes(tf.io.gfile.GFile(path, "rb").read(), path)
    except tf.errors.NotFoundError as error:
        raise Manifest.missing(data_dir, tf.io.gfile.exists(data_dir)) from error
    except tf.errors.UnimplementedError:
        return Dataset.open(data_dir).manifest
    except tf.errors.OpError as error:
        raise RequestError(f"--data_dir {data_dir}: cannot be read ({error.message})") from error


def split_files(data_dir: str, manifest: Manifest, split: str) -> SplitFiles:
    """The shards of a split, each there with the size that the manifest says.

    Raises:
        WorkError: naming the first shard that is missing or of another size.
    """
    shards = manifest.splits[split].shards
    for shard in shards:
        path = os.path.join(data_dir, shard.file)
        try:
            size = tf.io.gfile.stat(path).length
        except tf.errors.NotFoundError as error:
            raise WorkError(f"{path}: is missing; {remedy(data_dir)}") from error
        if size != shard.num_bytes:
            reason = f"has {size} bytes, the manifest says {shard.num_bytes}"
            raise WorkError(f"{path}: {reason}; {remedy(data_dir)}")
    return SplitFiles(
        tuple(os.path.join(data_dir, shard.file) for shard in shards),
        tuple(shard.num_sequences for shard in shards),
        manifest.splits[split].num_bytes,
        DatasetSpec.of(manifest),
    )


def remedy(data_dir: str) -> str:
    """What to do about a damaged data set."""
    return (
        f"run python -m pipeline.verify {data_dir} --repair,"
        " or leave it out by --on_corrupt skip (a training: from its start)"
    )
