"""How many bytes a sequence takes on disk, beside TFDS and beside what it holds: its entropy.

The entropy of a sequence is a bit for its label, the logarithm of S for its first row and, for every
step, that of the number of rows that it may lead to, averaged over the rows where a line may be by then.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import IMAGE_SIZE
from benchmarks.jobs import generate, seconds_of, with_tfds
from benchmarks.rows import Row, Target

_FULL, _QUICK = 2_000, 200
_TARGETS = {"path": Target(100 / 98, is_least=False), "frames": Target(2, is_least=False)}


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of both encodings; these are counts, which do not vary."""
    count, entropy = _QUICK if quick else _FULL, _entropy(IMAGE_SIZE) / 8
    rows = []
    for encoding, plural in (("path", "paths"), ("frames", "frames")):
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            ours, tfds = Path(scratch) / "ours", Path(scratch) / "tfds"
            seconds_of(generate(ours, count, encoding=encoding))
            seconds_of(with_tfds(tfds, encoding, count))
            sizes = [
                sum(shard.stat().st_size for shard in data.rglob("*-train.tfrecord-*")) / count
                for data in (ours, tfds)
            ]
        others = (
            ("tfds", "TFDS", sizes[1], _TARGETS[encoding]),
            ("entropy", "the entropy of a sequence", entropy, None),
        )
        what = f"store {plural}, bytes a sequence"
        rows += [
            Row(f"bytes-{encoding}-{key}", what, other, ((sizes[0], size),), False, True, 1, target)
            for key, other, size, target in others
        ]
    return rows


def _entropy(image_size: int) -> float:
    """Bits that a sequence holds."""
    rows = np.full(image_size, 1 / image_size)
    choices = (
        np.minimum(np.arange(image_size) + 1, image_size - 1) - np.maximum(np.arange(image_size) - 1, 0) + 1
    )
    step = np.zeros((image_size, image_size))
    for row, count in enumerate(choices):
        first = max(0, row - 1)
        step[row, first : first + count] = 1 / count
    bits = 1 + np.log2(image_size)
    for _ in range(image_size - 1):
        bits += float(rows @ np.log2(choices))
        rows = rows @ step
    return float(bits)
