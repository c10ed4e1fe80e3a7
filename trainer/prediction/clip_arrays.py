"""Reads clips of ``.npy`` and ``.npz`` files as streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.command_line.errors import RequestError
from trainer.prediction.array_files import contents, header_of
from trainer.prediction.frame_format import Frame, FrameFormat
from trainer.prediction.stored_clips import StoredClip

_LARGEST = 2**14  # Of a side; swscale has a bound, too.


class ClipArrays:
    """A ``.npy`` or ``.npz`` file of uint8 (n, T, H, W, C) or (T, H, W, C), C = 1 or 3.

    Frames of the model's shape are shown as they are. Others are scaled as the frames of clips, where the run
    was trained on clips.

    Args:
        path: path of the file.
        form: the frames to give.

    Raises:
        RequestError: if the array is damaged, or its frames cannot be shown to the model, with the path.
    """

    def __init__(self, path: str, form: FrameFormat) -> None:
        self.path = path
        self._header = header_of(path, _clips)
        found = self._header.shape[2:]
        if self._header.dtype != np.uint8:
            raise RequestError(f"{path}: holds {self._header.dtype}, expected uint8, values from 0 to 255")
        if found != form.shape and form.preparation is None:
            raise RequestError(
                f"{path}: frames of shape {found}, the model was trained on {form.shape}; only runs of clips"
                " say how to scale them"
            )
        if max(found) > _LARGEST:
            raise RequestError(
                f"{path}: frames of shape {found}; at most {_LARGEST} pixels a side are scaled"
            )
        self._fitted: Callable[[Frame], Frame] = _unchanged if found == form.shape else _fitter(form)

    def clips(self) -> Iterator[StoredClip]:
        """See `ClipFile.clips`."""
        shape = self._header.shape[1:]
        for index, content in enumerate(contents(self.path, self._header)):
            frames = np.frombuffer(content, np.uint8).reshape(shape)

            def frame(number: int, frames: Frame = frames) -> Frame:
                return self._fitted(frames[number])

            yield StoredClip(self.path, index, shape[0], frame)


def _clips(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as (n, T, H, W, C)."""
    found = (1, *shape) if len(shape) == 4 else shape
    if len(found) != 5 or found[4] not in (1, 3):
        raise ValueError(f"has shape {shape}, expected (n, T, H, W, C) or (T, H, W, C), C = 1 or 3")
    if min(found) < 1:
        raise ValueError(f"holds no frames (its shape is {shape})")
    return found


def _unchanged(frame: Frame) -> Frame:
    return frame


def _fitter(form: FrameFormat) -> Callable[[Frame], Frame]:
    # Imported here: PyAV is needed only where frames are scaled.
    from pipeline.clips.fitting import FrameFitter
    from pipeline.clips.frame_files import to_channels

    assert form.preparation is not None
    fitter = FrameFitter(form.preparation)

    def fitted(frame: Frame) -> Frame:
        color = frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)
        return to_channels(fitter.fit_rgb(color), form.shape[2])

    return fitted
