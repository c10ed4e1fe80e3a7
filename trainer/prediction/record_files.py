"""Sequences in TFRecord files, as `pipeline.generate` writes them, in either encoding."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, cast

import numpy as np

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.encodings import ENCODINGS, Encoding
from pipeline.moving_line.lines import Uint8Array
from pipeline.storage.tf_example import decode_example
from pipeline.storage.tfrecord import HEADER_BYTES, masked_crc32c, read_records
from trainer.prediction.stored_sequences import StoredSequence, damage_named

_GZIP = b"\x1f\x8b\x08"
_PEEKED_BYTES = 1024


class RecordFile:
    """A shard, as it is or compressed by gzip; both checksums and the content of every record are checked.

    A file does not say how many records it holds, so one that was cut short between two goes unnoticed; with
    ``--data_dir``, and by `pipeline.verify`, it does not.

    Args:
        path: of the file.

    Raises:
        RequestError: naming the file, if its first record is damaged or of another kind, or there is none.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.num_sequences: int | None = None
        first = next(self._payloads(), None)
        if first is None:
            raise RequestError(f"{path}: holds no sequences")
        self._first = first
        with damage_named(f"{path}: record 0"):
            self._encoding = _encoding_of(first)

    def check(self, image_size: int) -> None:
        """See `SequenceFile.check`: decodes the first record."""
        self._decode(0, self._first, image_size)

    def sequences(self, image_size: int) -> Iterator[StoredSequence]:
        """See `SequenceFile.sequences`."""
        payloads = self._payloads()
        if next(payloads, None) != self._first:
            raise RequestError(f"{self.path}: was changed while it was read")
        for index, payload in enumerate(chain([self._first], payloads)):
            path, label = self._decode(index, payload, image_size)
            # Frames that a record holds are the ones that its path draws, so the path stands for both.
            features = {"path": path, "label": np.array(label, np.uint8)}
            yield StoredSequence(self.path, index, image_size, features, label)

    def _payloads(self) -> Iterator[bytes]:
        with damage_named(self.path), open(self.path, "rb") as file:
            yield from read_records(_decompressed(file))

    def _decode(self, index: int, payload: bytes, image_size: int) -> tuple[Uint8Array, int]:
        with damage_named(f"{self.path}: record {index}"):
            return self._encoding.decode_record(payload, image_size)


def _decompressed(file: BinaryIO) -> BinaryIO:
    """The bytes of records, whatever the file's name ends in.

    Raises:
        ValueError: for a file compressed by zlib.
    """
    start = file.read(_PEEKED_BYTES)
    file.seek(0)
    if _begins_a_record(start):  # First, for a length may begin as a compressed file does.
        return file
    if start.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    try:
        start = zlib.decompressobj().decompress(start, HEADER_BYTES)
    except zlib.error:
        return file
    if _begins_a_record(start):
        raise ValueError("is compressed by zlib, which is not read; compress it by gzip, or not at all")
    return file


def _begins_a_record(content: bytes) -> bool:
    """Whether it begins with a length and the length's checksum."""
    length, checksum = content[:8], content[8:HEADER_BYTES]
    return checksum == masked_crc32c(length).to_bytes(4, "little")


def _encoding_of(payload: bytes) -> Encoding:
    features = decode_example(payload)
    for encoding in ENCODINGS.values():
        if encoding.feature in features:
            return encoding
    known = " or ".join(repr(encoding.feature) for encoding in ENCODINGS.values())
    raise ValueError(f"features {sorted(features)}, expected {known}, and 'label'")
