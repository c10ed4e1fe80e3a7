"""Clips decoded into arrays with OpenCV, as Keras' example of video classification with a CNN-RNN does.

What differs from the example: frames are kept at a rate, as the data sets hold them, for they would be three
times as many; a window is random, for the example takes the first frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def crop_center_square(frame: Array) -> Array:
    """The square in the middle, as in the example."""
    y, x = frame.shape[0:2]
    min_dim = min(y, x)
    start_x = (x // 2) - (min_dim // 2)
    start_y = (y // 2) - (min_dim // 2)
    return frame[start_y : start_y + min_dim, start_x : start_x + min_dim]


def load_video(path: str, fps: int, size: int) -> Array:
    """Decode a clip: uint8 (T, size, size, 3), RGB, ``fps`` frames a second."""
    capture = cv2.VideoCapture(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    frames: list[Array] = []
    number = 0
    try:
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            if number * fps >= len(frames) * rate:
                frame = crop_center_square(frame)
                frame = cv2.resize(frame, (size, size))
                frames.append(frame[:, :, [2, 1, 0]])
            number += 1
    finally:
        capture.release()
    return np.array(frames)


def load_all(source: str, fps: int, size: int) -> dict[str, int]:
    """Load a folder of a folder a class into memory; numbers of clips and frames."""
    paths, classes = _listed(source)
    videos = np.array([load_video(str(path), fps, size) for path in paths])
    labels = np.array([classes.index(path.parent.name) for path in paths])
    return {"clips": len(labels), "frames": videos.shape[0] * videos.shape[1]}


def batches(
    source: str, fps: int, size: int, num_frames: int, batch_size: int
) -> Iterator[tuple[Array, Array]]:
    """One epoch that decodes again: windows uint8 (batch, num_frames, size, size, 3), labels int (batch,)."""
    random = np.random.default_rng(0)
    paths, classes = _listed(source)
    random.shuffle(paths)
    for first in range(0, len(paths) - batch_size + 1, batch_size):
        windows = []
        for path in paths[first : first + batch_size]:
            video = load_video(str(path), fps, size)
            start = random.integers(len(video) - num_frames + 1)
            windows.append(video[start : start + num_frames])
        labels = [classes.index(path.parent.name) for path in paths[first : first + batch_size]]
        yield np.array(windows), np.array(labels)


def _listed(source: str) -> tuple[list[Path], list[str]]:
    paths = sorted(Path(source).rglob("*.mp4"))
    return paths, sorted({path.parent.name for path in paths})
