"""The definition of a moving line, one pixel at a time: slow, plain, and what everything else must equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def draw_choice(word: int, choices: int) -> int:
    """One of 0 .. choices - 1 from a uniform 32-bit word."""
    return word * choices // 2**32


def sequence_from_words(words: Sequence[int], image_size: int) -> tuple[list[int], int]:
    """Path and label from one sequence's random words."""
    label = draw_choice(words[0], 2)
    path = [draw_choice(words[1], image_size)]
    for t in range(1, image_size):
        low = max(0, path[t - 1] - 1)
        high = min(image_size - 1, path[t - 1] + 1)
        path.append(low + draw_choice(words[1 + t], high - low + 1))
    return path, label


def draw(path: Sequence[int], label: int) -> npt.NDArray[np.uint8]:
    """Frames, uint8 (S, S, S, 1)."""
    size = len(path)
    frames = np.zeros((size, size, size, 1), np.uint8)
    for t in range(size):
        for drawn in range(t + 1):
            column = drawn if label == 1 else size - 1 - drawn
            frames[t, path[drawn], column, 0] = 1
    return frames
