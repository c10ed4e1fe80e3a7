"""Selects the reader of a file of clips by the file's name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from pipeline.clips.decoder_process import Decoder
from pipeline.clips.media_files import is_media
from pipeline.command_line.errors import RequestError
from trainer.prediction.clip_arrays import ClipArrays
from trainer.prediction.clip_media import ClipMedia
from trainer.prediction.clip_records import ClipRecords, RecordCheck
from trainer.prediction.frame_format import FrameFormat
from trainer.prediction.stored_clips import ClipFile


def open_clip_files(
    paths: Sequence[str], form: FrameFormat, check: RecordCheck, decoder: Decoder
) -> list[ClipFile]:
    """Make readers of files, after checking arrays' headers and records' data sets. No file stays open.

    Args:
        paths: of files, and of folders of images.
        form: the frames to give.
        check: of the data sets of records.
        decoder: decodes media.

    Raises:
        RequestError: with the path of the first file that is of an unknown kind, or does not fit the model.
    """
    files = [_open(path, form, check, decoder) for path in paths]
    if any(isinstance(file, ClipMedia) for file in files):
        importlib.import_module("av")  # Missing, it should be told before the work.
    return files


def _open(path: str, form: FrameFormat, check: RecordCheck, decoder: Decoder) -> ClipFile:
    name = os.path.basename(path).lower()
    is_array, is_record = name.endswith((".npy", ".npz")), ".tfrecord" in name
    if not (is_array or is_record or is_media(path) or os.path.isdir(path)):
        raise RequestError(
            f"--input {path}: name videos, images, folders of them, arrays (.npy, .npz), or TFRecords"
            " (.tfrecord)"
        )
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise RequestError(f"--input {path}: is not a file")
    if is_array:
        return ClipArrays(path, form)
    if is_record:
        return ClipRecords(path, check)
    if form.preparation is None:
        raise RequestError(
            f"--input {path}: the model was trained on {form.dataset}, which is not made of files of video or"
            " images; name arrays (.npy, .npz) or TFRecords (.tfrecord)"
        )
    return ClipMedia(path, form.preparation, decoder)
