"""How many bytes a sequence takes on disk, beside TFDS and beside what it holds: its entropy.

The entropy of a sequence is a bit for its label, the logarithm of S for its first row and, for every
step, that of the number of rows that it may lead to, averaged over the rows where a line may be by then.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.agreement import IMAGE_SIZE
from benchmarks.jobs import command, generate, seconds_of
from benchmarks.rows import Row, Target

_COUNT = 2_000
_TARGETS = {"path": Target(100 / 98, is_least=False), "frames": Target(2, is_least=False)}


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of both encodings; these are counts, which do not vary."""
    entropy = sequence_entropy(IMAGE_SIZE) / 8
    rows = []
    for encoding, plural in (("path", "paths"), ("frames", "frames")):
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            ours, tfds = Path(scratch) / "ours", Path(scratch) / "tfds"
            seconds_of(generate(ours, _COUNT, encoding=encoding))
            asked = {"output_dir": tfds, "encoding": encoding, "num_sequences": _COUNT}
            seconds_of(command("benchmarks.baselines.tfds_builder", **asked))
            sizes = [
                sum(shard.stat().st_size for shard in data.rglob("*-train.tfrecord-*")) / _COUNT
                for data in (ours, tfds)
            ]
        what = f"store {plural}, bytes a sequence"
        rows += [
            Row(
                f"bytes-{encoding}-tfds",
                what,
                "TFDS",
                ((sizes[0], sizes[1]),),
                is_size=True,
                digits=1,
                target=_TARGETS[encoding],
            ),
            Row(
                f"bytes-{encoding}-entropy",
                what,
                "the entropy of a sequence",
                ((sizes[0], entropy),),
                is_size=True,
                digits=1,
            ),
        ]
    return rows


def sequence_entropy(image_size: int) -> float:
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
