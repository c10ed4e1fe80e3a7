"""Sequences in TFRecord files, as `pipeline.generate` writes them, in either encoding."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from pipeline.encodings import ENCODINGS, Encoding
from pipeline.example import decode_example
from pipeline.lines import Uint8Array
from pipeline.program import RequestError
from pipeline.tfrecord import read_records
from trainer.prediction.stored_sequences import StoredSequence, damage_named


class RecordFile:
    """A shard; both checksums and the content of every record are checked.

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
        with damage_named(self.path), open(self.path, "rb") as stream:
            yield from read_records(stream)

    def _decode(self, index: int, payload: bytes, image_size: int) -> tuple[Uint8Array, int]:
        with damage_named(f"{self.path}: record {index}"):
            return self._encoding.decode_record(payload, image_size)


def _encoding_of(payload: bytes) -> Encoding:
    features = decode_example(payload)
    for encoding in ENCODINGS.values():
        if encoding.feature in features:
            return encoding
    known = " or ".join(repr(encoding.feature) for encoding in ENCODINGS.values())
    raise ValueError(f"features {sorted(features)}, expected {known}, and 'label'")
