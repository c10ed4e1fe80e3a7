"""Cuts the windows from clips that a model is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.input.frame_view import SEGMENTS, FrameView
from trainer.prediction.frame_format import Frame
from trainer.prediction.stored_clips import StoredClip

# A GPU would only wait for so little work.
_DEVICE = "CPU"


@dataclass(frozen=True)
class Window:
    """A window of a clip.

    Attributes:
        file, index, label, captions: see `StoredClip`.
        start, end: of the shown frames: in seconds, or numbers of frames where there is no rate.
        frames: as the model is shown them, uint8 (T, H, W, C); black from number ``length`` on.
        length: how many are real.
    """

    file: str
    index: int | None
    label: int | None
    captions: Sequence[str] | None
    start: float
    end: float
    frames: npt.NDArray[np.uint8]
    length: int


@dataclass(frozen=True)
class ClipWindows:
    """Which windows of a clip are shown.

    Attributes:
        view: how the model is shown clips when it is judged.
        fps: frames a second of clips that say no other; None if there is no rate.
        stride: frames from the start of a window to that of the next; None: only the window in the middle.
    """

    view: FrameView
    fps: Fraction | None
    stride: int | None = None

    def of(self, clip: StoredClip) -> Iterator[Window]:
        """Yield the windows of a clip in order, with the frames of one in memory."""
        kept: dict[int, Frame] = {}
        for numbers in self._numbers(clip.num_frames):
            # Windows overlap: no frame is decoded twice in a row.
            kept = {
                number: kept[number] if number in kept else clip.frame(number) for number in map(int, numbers)
            }
            yield self._window(clip, numbers, np.stack(list(kept.values())))

    def _numbers(self, num_frames: int) -> Iterator[npt.NDArray[np.int32]]:
        """Numbers of the real frames of every window."""
        view = self.view
        span = (view.num_frames - 1) * view.frame_step + 1
        if self.stride is None or num_frames <= span:
            with tf.device(_DEVICE):
                numbers, real = view.choose(tf.constant(num_frames), tf.constant(0, tf.int64))
            yield numbers.numpy()[: int(real)]
            return
        last = num_frames - span
        # The last window ends with the clip, so that every frame is within one.
        for first in [*range(0, last, self.stride), last]:
            yield np.arange(first, first + span, view.frame_step, dtype=np.int32)

    def _window(self, clip: StoredClip, numbers: npt.NDArray[np.int32], frames: Frame) -> Window:
        view, length = self.view, len(numbers)
        padded = np.pad(frames, [(0, view.num_frames - length), (0, 0), (0, 0), (0, 0)])
        with tf.device(_DEVICE):
            shown = np.asarray(view.change(tf.constant(padded), tf.constant(0, tf.int64)))
        first, end = int(numbers[0]), int(numbers[-1]) + 1
        if view.sampling == SEGMENTS:
            first, end = 0, clip.num_frames
        times = self._time(clip, first), self._time(clip, end)
        return Window(clip.file, clip.index, clip.label, clip.captions, *times, shown, length)

    def _time(self, clip: StoredClip, number: int) -> float:
        fps = clip.fps or self.fps
        return number if fps is None else round(clip.start + float(number / fps), 6)
