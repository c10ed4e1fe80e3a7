"""Reads sequences of TFRecord files, as written by `pipeline.generate` in any encoding."""

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
from trainer.prediction.stored_sequences import StoredSequence, naming_file

_GZIP = b"\x1f\x8b\x08"
_PEEKED_BYTES = 1024


class RecordFile:
    """A shard, plain or compressed by gzip. Checksums and content of each record are checked.

    A file that lacks its last records is not detected, because it does not store their number;
    ``--data_dir`` and `pipeline.verify` detect it.

    Args:
        path: path of the file.

    Raises:
        RequestError: if there is no record, or the first is damaged or of another kind, with the path.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.num_sequences: int | None = None
        first = next(payloads_of(path), None)
        if first is None:
            raise RequestError(f"{path}: holds no sequences")
        self._first = first
        with naming_file(f"{path}: record 0"):
            self._encoding = _encoding_of(first)

    def check(self, image_size: int) -> None:
        """See `SequenceFile.check`. Decodes the first record."""
        self._decode(0, self._first, image_size)

    def sequences(self, image_size: int) -> Iterator[StoredSequence]:
        """See `SequenceFile.sequences`."""
        payloads = payloads_of(self.path)
        if next(payloads, None) != self._first:
            raise RequestError(f"{self.path}: was changed while it was read")
        for index, payload in enumerate(chain([self._first], payloads)):
            path, label = self._decode(index, payload, image_size)
            # The frames of a record are those that its path draws, so the path is enough.
            features = {"path": path, "label": np.array(label, np.uint8)}
            yield StoredSequence(self.path, index, image_size, features, label)

    def _decode(self, index: int, payload: bytes, image_size: int) -> tuple[Uint8Array, int]:
        with naming_file(f"{self.path}: record {index}"):
            return self._encoding.decode_record(payload, image_size)


def payloads_of(path: str) -> Iterator[bytes]:
    """The payloads of a shard, plain or compressed by gzip.

    Raises:
        RequestError: at the first record that is damaged, with the path.
    """
    with naming_file(path), open(path, "rb") as file:
        yield from read_records(_decompressed(file))


def _decompressed(file: BinaryIO) -> BinaryIO:
    """A stream of the file's records, decompressed if needed; the file's name does not matter.

    Raises:
        ValueError: if the file is compressed by zlib.
    """
    start = file.read(_PEEKED_BYTES)
    file.seek(0)
    if _begins_a_record(start):  # First: a length may have the same first bytes as a compressed file.
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
    """Whether ``content`` begins with a length and its checksum."""
    length, checksum = content[:8], content[8:HEADER_BYTES]
    return checksum == masked_crc32c(length).to_bytes(4, "little")


def _encoding_of(payload: bytes) -> Encoding:
    features = decode_example(payload)
    for encoding in ENCODINGS.values():
        if encoding.feature in features:
            return encoding
    known = " or ".join(repr(encoding.feature) for encoding in ENCODINGS.values())
    raise ValueError(f"features {sorted(features)}, expected {known}, and 'label'")
