"""Reads clips of TFRecords of a data set of frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from pipeline.clips.definition import Clips
from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.dataset.features import Video, decode
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.definition import KINDS
from trainer.input.dataset_spec import CAPTION, DatasetSpec
from trainer.input.frame_records import decoded_image
from trainer.input.split_files import read_manifest
from trainer.prediction.frame_format import Frame
from trainer.prediction.record_files import payloads_of
from trainer.prediction.stored_clips import StoredClip
from trainer.prediction.stored_sequences import naming_file

_MICROSECONDS = 10**6

# Raises RequestError where a model cannot answer to a data set; see `WindowAnswers.check_records`.
RecordCheck = Callable[[DatasetSpec, str], None]


class RecordDecoder:
    """Makes clips of the records of a data set.

    Args:
        manifest: of the data set.
        directory: its path.
        check: of the data set.

    Raises:
        RequestError: of ``check``.
    """

    def __init__(self, manifest: Manifest, directory: str, check: RecordCheck) -> None:
        self._manifest = manifest
        self._spec = DatasetSpec.of(manifest)
        check(self._spec, directory)
        is_clips = manifest.kind == Clips.name
        self._fps = Clips.from_json(manifest.settings).frame_settings.fps if is_clips else None

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
        label = None if spec.target is None else int(example[spec.target])
        texts = example[CAPTION] if spec.has_captions else None
        captions = [texts] if isinstance(texts, str) else texts
        if not len(stored):
            raise ValueError("has no frames")
        return StoredClip(file, index, len(stored), frame, label, start, captions, self._fps)


class ClipRecords:
    """A shard of a data set of frames, plain or compressed by gzip, beside its ``manifest.json``.

    Args:
        path: path of the file.
        check: of the data set.

    Raises:
        RequestError: if there is no record or no manifest, or of ``check``.
    """

    def __init__(self, path: str, check: RecordCheck) -> None:
        self.path = path
        directory = os.path.dirname(path) or "."
        if not os.path.isfile(os.path.join(directory, MANIFEST_NAME)):
            raise RequestError(
                f"--input {path}: there is no {MANIFEST_NAME} beside it, which says what its records hold;"
                " name it in its data set"
            )
        if next(payloads_of(path), None) is None:
            raise RequestError(f"{path}: holds no records")
        self._decoder = RecordDecoder(read_manifest(directory), directory, check)

    def clips(self) -> Iterator[StoredClip]:
        """See `ClipFile.clips`."""
        for index, payload in enumerate(payloads_of(self.path)):
            where = f"{self.path}: record {index}"
            with naming_file(where):
                clip = self._decoder.clip(payload, self.path, index, where)
            yield clip
