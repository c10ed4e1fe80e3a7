"""The moving line: its definition, an exactly reproducible sampler and the frames it draws.

A sequence of image size S has T = S timesteps. It is a label and a path:

- ``label``: 1 = right, 0 = left, each with probability 1/2.
- ``path[0]`` is uniform over the rows 0..S-1; ``path[t]`` is uniform over the rows in
  [max(0, path[t-1] - 1), min(S-1, path[t-1] + 1)].
- The pixel drawn at timestep t is in row ``path[t]`` and in column t (right) or S-1-t (left).
- Frame t shows every pixel drawn at timesteps 0..t as 1 on a background of 0.

Sequence i is a pure function of (seed, split, S, i). Its random words come from Philox-4x64, a
counter-based generator whose raw output NumPy keeps stable between versions: the key is a digest of
(seed, split, S), and sequence i owns blocks i*B+1 .. (i+1)*B of the counter, B = ceil((S + 1) / 8).
A block is four 64-bit words, read as eight 32-bit words, low half first. Word 0 of a sequence draws
the label, word 1 + t draws ``path[t]``. A word w draws one of k choices as floor(w * k / 2**32), which
is uniform to within k / 2**32.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

DEFINITION_VERSION = 1
CLASS_NAMES = ("left", "right")
LEFT, RIGHT = 0, 1
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 2, 256

_WORDS_PER_BLOCK = 8

Uint8Array = npt.NDArray[np.uint8]
Uint32Array = npt.NDArray[np.uint32]
Int64Array = npt.NDArray[np.int64]


def words_per_sequence(image_size: int) -> int:
    """Number of 32-bit random words that one sequence owns: a multiple of 8, at least S + 1."""
    return -(-(image_size + 1) // _WORDS_PER_BLOCK) * _WORDS_PER_BLOCK


def random_words(seed: int, split: str, image_size: int, first: int, count: int) -> Uint32Array:
    """Random words of the sequences ``first`` .. ``first + count - 1``.

    Returns:
        uint32 of shape (count, words_per_sequence(image_size)), whatever the machine's byte order.
    """
    name = f"moving_line {DEFINITION_VERSION}\0{seed}\0{split}\0{image_size}"
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    words = words_per_sequence(image_size)
    generator = np.random.Philox(key=key, counter=first * (words // _WORDS_PER_BLOCK))
    raw = generator.random_raw(count * words // 2).astype("<u8", copy=False)
    return raw.view("<u4").astype(np.uint32, copy=False).reshape(count, words)


def paths_from_words(words: Uint32Array, image_size: int) -> tuple[Uint8Array, Int64Array]:
    """Turn random words into paths and labels, all sequences at once, one timestep after the other.

    Args:
        words: uint32 of shape (n, at least image_size + 1).

    Returns:
        paths, uint8 of shape (n, image_size), and labels, int64 of shape (n,).
    """
    # Time first: every step below then works on contiguous arrays.
    drawn = np.ascontiguousarray(words[:, : image_size + 1].T)
    last = image_size - 1
    rows = np.empty((image_size, len(words)), np.uint8)
    rows[0] = _choose(drawn[1], np.uint32(image_size))
    for t in range(1, image_size):
        before = rows[t - 1]
        above, below = before > 0, before < last
        choices = above.astype(np.uint32) + below + np.uint32(1)
        rows[t] = (before - above) + _choose(drawn[1 + t], choices)
    labels = _choose(drawn[0], np.uint32(len(CLASS_NAMES))).astype(np.int64)
    return np.ascontiguousarray(rows.T), labels


def sample_sequences(
    seed: int, split: str, image_size: int, first: int, count: int
) -> tuple[Uint8Array, Int64Array]:
    """Paths and labels of the sequences ``first`` .. ``first + count - 1`` of a split.

    Returns:
        paths, uint8 of shape (count, image_size), and labels, int64 of shape (count,).
    """
    return paths_from_words(random_words(seed, split, image_size, first, count), image_size)


def draw_frames(paths: Uint8Array, labels: Int64Array) -> Uint8Array:
    """Draw sequences into frames.

    Args:
        paths: uint8 of shape (n, S).
        labels: integers of shape (n,), 0 = left, 1 = right.

    Returns:
        uint8 of shape (n, S, S, S, 1) = (sequence, timestep, row, column, channel), values 0 and 1.
    """
    size = paths.shape[1]
    time = np.arange(size)
    is_right = np.asarray(labels)[:, None] == RIGHT
    # Every column is drawn exactly once: at drawn_at[column], in row_of[column].
    drawn_at = np.where(is_right, time, size - 1 - time)
    row_of = np.where(is_right, paths, paths[:, ::-1])
    line = row_of[:, None, :] == time[:, None]
    visible = drawn_at[:, None, :] <= time[:, None]
    frames: Uint8Array = (line[:, None, :, :] & visible[:, :, None, :])[..., None].view(np.uint8)
    return frames


def paths_from_frames(frames: Uint8Array, labels: Int64Array) -> Uint8Array:
    """Recover the paths from drawn frames; the inverse of `draw_frames`.

    Args:
        frames: uint8 of shape (n, S, S, S, 1).
        labels: integers of shape (n,).

    Returns:
        uint8 of shape (n, S).
    """
    row_of = frames[:, -1, :, :, 0].argmax(axis=1).astype(np.uint8)
    paths: Uint8Array = np.where(np.asarray(labels)[:, None] == RIGHT, row_of, row_of[:, ::-1])
    return paths


def _choose(words: Uint32Array, choices: np.uint32 | Uint32Array) -> Uint8Array:
    """floor(word * choices / 2**32): one of 0 .. choices - 1 for every word."""
    return ((words.astype(np.uint64) * choices) >> np.uint64(32)).astype(np.uint8)
