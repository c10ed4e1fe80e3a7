"""A clip as a file holds it, and the interface of all readers of clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from trainer.prediction.frame_format import Frame


@dataclass(frozen=True)
class StoredClip:
    """A clip of a file.

    Attributes:
        file: path of the file, as the user gave it.
        index: number of the clip in a file that holds several, from 0; None for one that holds one.
        num_frames: number of frames, at least 1.
        frame: gives the frame of a number, uint8 (H, W, C), as long as the next clip is not asked for.
        label: number of the class; None if the file has no labels.
        start: time of the first frame, in seconds.
        captions: descriptions of the clip; None if the file has no captions.
        fps: frames a second; None: those of the data set that the model was trained on.
    """

    file: str
    index: int | None
    num_frames: int
    frame: Callable[[int], Frame]
    label: int | None = None
    start: float = 0.0
    captions: Sequence[str] | None = None
    fps: Fraction | None = None


class ClipFile(Protocol):
    """A reader of a file of clips.

    Attributes:
        path: path of the file, as the user gave it.
    """

    path: str

    def clips(self) -> Iterator[StoredClip]:
        """Yield all clips in order, with one at a time in memory.

        Raises:
            BadClipError: if a file of video or an image cannot be decoded; see `pipeline.clips.errors`.
            RequestError: if any other file is damaged; the message has the path.
        """
