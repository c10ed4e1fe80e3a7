"""The moving line: its definition, an exactly reproducible sampler, and drawing of frames.

A sequence of image size S has T = S timesteps. It is a label and a path:

- ``label``: 1 = right, 0 = left, each with probability 1/2.
- ``path[0]`` is uniform over the rows 0..S-1; ``path[t]`` is uniform over the rows in
  [max(0, path[t-1] - 1), min(S-1, path[t-1] + 1)].
- The pixel drawn at timestep t is in row ``path[t]`` and in column t (right) or S-1-t (left).
- Frame t shows every pixel drawn at timesteps 0..t as 1 on a background of 0.

Sequence i is a pure function of (seed, split, S, i). Its random words come from Philox-4x64, a
counter-based generator whose raw output is the same in all versions of NumPy. The key is a digest of
(seed, split, S). Sequence i uses blocks i*B+1 .. (i+1)*B of the counter, B = ceil((S + 1) / 8).
A block is four 64-bit words, read as eight 32-bit words, low half first. Word 0 of a sequence selects
the label, word 1 + t selects ``path[t]``. A word w selects one of k choices as floor(w * k / 2**32),
which is uniform to within k / 2**32.
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
_PADDING = 64
# The smallest words w with floor(w * 3 / 2**32) = 1, floor(w * 2 / 2**32) = 1, floor(w * 3 / 2**32) = 2.
_THIRD = np.uint32(-(-(2**32) // 3))
_HALF = np.uint32(2**31)
_TWO_THIRDS = np.uint32(-(-(2**33) // 3))

Uint8Array = npt.NDArray[np.uint8]
Uint32Array = npt.NDArray[np.uint32]
Int64Array = npt.NDArray[np.int64]


def words_per_sequence(image_size: int) -> int:
    """Number of 32-bit random words of one sequence: a multiple of 8, at least S + 1."""
    return -(-(image_size + 1) // _WORDS_PER_BLOCK) * _WORDS_PER_BLOCK


def random_words(seed: int, split: str, image_size: int, first: int, count: int) -> Uint32Array:
    """Random words of the sequences ``first`` .. ``first + count - 1`` of a split.

    Returns:
        uint32 of shape (count, words_per_sequence(image_size)), the same for every byte order of the machine.
    """
    name = f"moving_line {DEFINITION_VERSION}\0{seed}\0{split}\0{image_size}"
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    words = words_per_sequence(image_size)
    generator = np.random.Philox(key=key, counter=first * (words // _WORDS_PER_BLOCK))
    raw = generator.random_raw(count * words // 2).astype("<u8", copy=False)
    return raw.view("<u4").astype(np.uint32, copy=False).reshape(count, words)


def paths_from_words(words: Uint32Array, image_size: int) -> tuple[Uint8Array, Int64Array]:
    """Convert random words to paths and labels, for all sequences at once, timestep by timestep.

    Args:
        words: uint32 of shape (n, at least image_size + 1).

    Returns:
        paths, uint8 of shape (n, image_size), and labels, int64 of shape (n,).
    """
    # A step has three choices, or two in the first or last row. Both choices follow from how many of the
    # thresholds 1/3, 1/2 and 2/3 a word reaches. This number, 0 to 3, does not depend on the row, and is
    # stored in a quarter of the word's bytes.
    reached = np.greater_equal(words, _THIRD).view(np.uint8)
    reached += np.greater_equal(words, _HALF).view(np.uint8)
    reached += np.greater_equal(words, _TWO_THIRDS).view(np.uint8)
    drawn = np.ascontiguousarray(reached[:, : image_size + 1].T)  # Time first: steps on whole arrays.
    two, three = drawn >> 1, drawn + np.uint8(1) >> 1
    # Arithmetic is modulo 256: a step of -1 is 255.
    inside = three - np.uint8(1)
    at_border = two - three  # Added to `inside` in the first and last row; in the first, 1 more is added.
    # Padding: with rows of a power of two bytes, transposing uses only a few lines of the processor's cache.
    rows = np.empty((image_size, len(words) + _PADDING), np.uint8)[:, : len(words)]
    rows[0] = words[:, 1].astype(np.uint64) * np.uint64(image_size) >> np.uint64(32)
    for t in range(1, image_size):
        before, row = rows[t - 1], rows[t]
        is_first = np.equal(before, 0).view(np.uint8)
        is_last = np.equal(before, image_size - 1).view(np.uint8)
        np.add(before, inside[t + 1], out=row)
        row += (is_first | is_last) * at_border[t + 1]
        row += is_first
    return np.ascontiguousarray(rows.T), two[0].astype(np.int64)


def sample_sequences(
    seed: int, split: str, image_size: int, first: int, count: int
) -> tuple[Uint8Array, Int64Array]:
    """Paths and labels of the sequences ``first`` .. ``first + count - 1`` of a split.

    Returns:
        paths, uint8 of shape (count, image_size), and labels, int64 of shape (count,).
    """
    return paths_from_words(random_words(seed, split, image_size, first, count), image_size)


def check_sequences(paths: Uint8Array, labels: Int64Array) -> None:
    """Check that sequences are allowed by the definition.

    Args:
        paths: uint8 of shape (n, S).
        labels: integers of shape (n,).

    Raises:
        ValueError: if a label, a row or a step is out of range; the message names the first one.
    """
    if (wrong := (labels < 0) | (labels >= len(CLASS_NAMES))).any():
        raise ValueError(f"label {labels[wrong][0]}, expected 0 or 1")
    size = paths.shape[1]
    if paths.max(initial=0) >= size:
        raise ValueError(f"row {paths[paths >= size][0]}, expected 0 to {size - 1}")
    before, after = paths[:, :-1], paths[:, 1:]
    if (wrong := np.maximum(before, after) - np.minimum(before, after) > 1).any():
        sequence, t = np.argwhere(wrong)[0]
        step = int(after[sequence, t]) - int(before[sequence, t])
        raise ValueError(f"a step of {step:+d} rows at timestep {t + 1}, expected -1, 0 or +1")


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
    # Every column has exactly one pixel: drawn at timestep drawn_at[column], in row row_of[column].
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
