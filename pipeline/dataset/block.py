"""Blocks: consecutive examples of a split, as they pass through generation and verification."""

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
        first: number of the first one in the split.
        contents: uint8 (n, bytes of a content), equal for equal examples; see
            `pipeline.dataset.content_digest`.
    """

    first: int
    contents: Contents

    @abstractmethod
    def records(self) -> bytes:
        """The examples' records, one after the other, with their TFRecord framing."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Of these examples."""


class RecordBlock(Block):
    """Examples by their records; the content of an example is the SHA-256 of its record's payload.

    Args:
        first: see `Block`.
        payloads: of the records.
        statistics: of the examples.
    """

    def __init__(self, first: int, payloads: Sequence[bytes], statistics: Statistics) -> None:
        self.first = first
        self.contents = np.frombuffer(b"".join(map(content_of, payloads)), np.uint8).reshape(
            len(payloads), -1
        )
        self._payloads = payloads
        self._statistics = statistics

    def records(self) -> bytes:
        """See `Block.records`."""
        return b"".join(map(frame_record, self._payloads))

    def statistics(self) -> Statistics:
        """See `Block.statistics`."""
        return self._statistics


def content_of(payload: bytes) -> bytes:
    """The content of an example that is told by its record: the SHA-256 of the payload, 32 bytes."""
    return hashlib.sha256(payload).digest()
