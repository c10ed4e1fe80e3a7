"""Reads files of video, images, and folders of images as clips, prepared as a data set of clips is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import tensorflow as tf

from pipeline.clips.decoder_process import Decoded, Decoder
from pipeline.clips.errors import BadClipError
from pipeline.clips.frame_settings import FrameSettings
from trainer.input.frame_records import decoded_image
from trainer.prediction.frame_format import Frame
from trainer.prediction.stored_clips import StoredClip

# Encoded frames of a clip beyond this are in a temporary file.
_MEMORY_BYTES = 2**24
_FRAMES_A_MESSAGE = 64


class ClipMedia:
    """A file of video, an image, or a folder of images: one clip.

    The whole clip is decoded first, so that a damaged one gives no answers. Its frames are kept as a record
    would hold them, as the bytes of JPEGs or PNGs.

    Args:
        path: path of the file or folder.
        settings: how frames are made.
        decoder: decodes; used for one clip at a time.
    """

    def __init__(self, path: str, settings: FrameSettings, decoder: Decoder) -> None:
        self.path = path
        self._settings = replace(settings, max_frames=min(settings.max_frames, _FRAMES_A_MESSAGE))
        self._decoder = decoder

    def clips(self) -> Iterator[StoredClip]:
        """See `ClipFile.clips`."""
        settings = self._settings
        shape = settings.height, settings.width, settings.channels
        ends = [0]
        with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as stored:
            for part in self._decoder.decode(self.path, settings):
                if isinstance(part, Decoded):
                    if part.reason:
                        raise BadClipError(part.reason)
                    continue
                for content in part.frames:
                    ends.append(ends[-1] + stored.write(content))

            def frame(number: int) -> Frame:
                stored.seek(ends[number])
                content = stored.read(ends[number + 1] - ends[number])
                return np.asarray(decoded_image(tf.constant(content), shape, settings.encoding))

            yield StoredClip(self.path, None, len(ends) - 1, frame)
