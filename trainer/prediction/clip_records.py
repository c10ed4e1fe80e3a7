"""Reads clips of TFRecords of a data set of frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.dataset.features import Video, decode
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.definition import KINDS
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_records import decoded_image
from trainer.input.split_files import read_manifest
from trainer.prediction.frame_format import Frame
from trainer.prediction.record_files import payloads_of
from trainer.prediction.stored_clips import StoredClip
from trainer.prediction.stored_sequences import naming_file
from trainer.tasks.trainable_kind import trainable_kind

_MICROSECONDS = 10**6


class RecordDecoder:
    """Makes clips of the records of a data set.

    Args:
        manifest: of the data set.
        directory: its path.
        trained_on: what the model was trained on, as ``config.json`` says.

    Raises:
        RequestError: if the data set has other frames or classes.
    """

    def __init__(self, manifest: Manifest, directory: str, trained_on: Mapping[str, Any]) -> None:
        self._manifest = manifest
        self._spec = DatasetSpec.of(manifest)
        kind = trainable_kind(self._spec)
        kind.check_trainable(self._spec, directory)
        kind.check_fits(trained_on, self._spec)

    def clip(self, payload: bytes, file: str, index: int, where: str) -> StoredClip:
        """The clip of a record.

        Args:
            payload: the record's.
            file: see `StoredClip`.
            index: number of the record.
            where: the record, for errors.

        Raises:
            ValueError: if the payload is no record of the data set; the message gives the reason.
        """
        spec, manifest = self._spec, self._manifest
        # The module of a kind of one's own need not be there.
        has_module = manifest.kind in KINDS
        example = manifest.definition.decode(payload) if has_module else decode(spec.features, payload)
        stored, feature = example[spec.input], spec.features[spec.input]

        def frame(number: int) -> Frame:
            if not isinstance(feature, Video):
                return np.asarray(stored[number], np.uint8)
            try:
                return np.asarray(decoded_image(tf.constant(stored[number]), feature.shape, feature.encoding))
            except (tf.errors.OpError, ValueError) as error:
                reason = one_line(error)[:120]
                raise WorkError(f"{where}: frame {number} cannot be decoded ({reason})") from error

        start = int(example["timestamp"][0]) / _MICROSECONDS if "timestamp" in example and has_module else 0.0
        assert spec.target is not None
        return StoredClip(file, index, len(stored), frame, int(example[spec.target]), start)


class ClipRecords:
    """A shard of a data set of frames, plain or compressed by gzip, beside its ``manifest.json``.

    Args:
        path: path of the file.
        trained_on: what the model was trained on, as ``config.json`` says.

    Raises:
        RequestError: if there is no record or no manifest, or the data set has other frames or classes.
    """

    def __init__(self, path: str, trained_on: Mapping[str, Any]) -> None:
        self.path = path
        directory = os.path.dirname(path) or "."
        if not os.path.isfile(os.path.join(directory, MANIFEST_NAME)):
            raise RequestError(
                f"--input {path}: there is no {MANIFEST_NAME} beside it, which says what its records hold;"
                " name it in its data set"
            )
        if next(payloads_of(path), None) is None:
            raise RequestError(f"{path}: holds no records")
        self._decoder = RecordDecoder(read_manifest(directory), directory, trained_on)

    def clips(self) -> Iterator[StoredClip]:
        """See `ClipFile.clips`."""
        for index, payload in enumerate(payloads_of(self.path)):
            where = f"{self.path}: record {index}"
            with naming_file(where):
                clip = self._decoder.clip(payload, self.path, index, where)
            yield clip
