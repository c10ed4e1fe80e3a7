"""Blocks of consecutive examples of a split, the unit of work of generation and verification."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from pipeline.dataset.content_digest import Contents
from pipeline.dataset.statistics import Statistics
from pipeline.storage.tfrecord import frame_record


class Block(ABC):
    """Consecutive examples of a split.

    Attributes:
        first: number of the first example in the split, from 0.
        contents: uint8 (n, bytes of a content): a row for each example; equal examples have equal rows. See
            `pipeline.dataset.content_digest`.
    """

    first: int
    contents: Contents

    @property
    def keys(self) -> Contents:
        """What examples are compared by to count duplicates, uint8 (n, bytes); by default, the contents."""
        return self.contents

    @abstractmethod
    def records(self) -> bytes:
        """The records of the examples in order, with their TFRecord framing."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Statistics of the block's examples."""


class RecordBlock(Block):
    """A block made of serialized records; the content of an example is the SHA-256 of its payload.

    Args:
        first: see `Block`.
        payloads: the payloads of the examples' records, at least one.
        statistics: statistics of the examples.
        keys: see `Block.keys`; 32 bytes for each example. None: the contents.
    """

    def __init__(
        self,
        first: int,
        payloads: Sequence[bytes],
        statistics: Statistics,
        keys: Sequence[bytes] | None = None,
    ) -> None:
        self.first = first
        self.contents = np.frombuffer(b"".join(map(content_of, payloads)), np.uint8).reshape(
            len(payloads), -1
        )
        self._keys = keys
        self._payloads = payloads
        self._statistics = statistics

    @property
    def keys(self) -> Contents:
        """See `Block.keys`."""
        if self._keys is None:
            return self.contents
        return np.frombuffer(b"".join(self._keys), np.uint8).reshape(len(self._keys), -1)

    def records(self) -> bytes:
        """See `Block.records`."""
        return b"".join(map(frame_record, self._payloads))

    def statistics(self) -> Statistics:
        """See `Block.statistics`."""
        return self._statistics


def content_of(payload: bytes) -> bytes:
    """The content of an example in a `RecordBlock`: the SHA-256 of its payload, 32 bytes."""
    return hashlib.sha256(payload).digest()
