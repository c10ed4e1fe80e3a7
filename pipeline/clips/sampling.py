"""Chooses the frames of a clip by their presentation times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from pipeline.clips.errors import BadClipError
from pipeline.clips.frame_settings import MAX_CHOSEN_FRAMES


class Sampler:
    """Chooses, for every time k / fps, the frame that is shown then: the last one that begins by that time.

    Times count from the clip's first frame, so that a late or negative start does not matter. Frames are
    given in the order of their times; a frame is chosen as often as it is shown.

    Args:
        fps: frames a second to choose.
        start, end: the part of the clip, in seconds; ``end`` None: to its end.
    """

    def __init__(self, fps: Fraction, start: Fraction = Fraction(0), end: Fraction | None = None) -> None:
        self._fps, self._start, self._end = fps, start, end
        self._next = 0

    def before(self, time: Fraction) -> list[int]:
        """Numbers k of the chosen times that are before ``time`` and that no earlier call has returned.

        Args:
            time: seconds from the clip's first frame to the next frame, or to the clip's end.

        Raises:
            BadClipError: if there are too many, as of a file with a frame that is shown for days.
        """
        if self._end is not None:
            time = min(time, self._end)
        # The smallest k whose time, start + k / fps, is not before `time`.
        stop = max(self._next, math.ceil((time - self._start) * self._fps))
        if stop > MAX_CHOSEN_FRAMES:
            raise BadClipError(f"gives more than {MAX_CHOSEN_FRAMES} frames at {float(self._fps):g} a second")
        found = list(range(self._next, stop))
        self._next = stop
        return found


def chosen(times: Sequence[Fraction], end: Fraction, sampler: Sampler) -> list[list[int]]:
    """For every frame, the numbers of the chosen times at which it is shown.

    Args:
        times: presentation times in seconds, in ascending order, the first 0.
        end: end of the last frame.
        sampler: chooses; not used before.
    """
    return [sampler.before(time) for time in [*times[1:], end]]


def end_of(previous: Fraction | None, last: Fraction) -> Fraction:
    """End of the last frame, in seconds: it is shown as long as the one before it.

    Args:
        previous: time of the frame before the last one; None if there is only one, which is shown for a
            microsecond, so that exactly one frame is chosen.
        last: time of the last frame.
    """
    return last + (Fraction(1, 10**6) if previous is None else last - previous)
