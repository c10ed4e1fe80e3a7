"""The content digest: what sequences a data set holds, whatever their encoding and sharding.

A split is cut into **leaves** of 4,096 sequences, counted from its first; the last may be smaller. A leaf's
digest is the SHA-256 of its sequences, each as its path (S bytes) and its label (a byte). A split's digest
is the SHA-256 of its leaves' digests, and the data set's the SHA-256 of the canonical JSON (sorted keys, no
spaces) of the image size and its splits' digests by name. So workers can digest parts of a split, and any
part can be checked by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from pipeline.moving_line.lines import Int64Array, Uint8Array

SEQUENCES_PER_LEAF = 4096


def blocks(first: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut sequences ``first`` .. ``first + count - 1`` where leaves begin: (first, count) of each block."""
    end = first + count
    while first < end:
        stop = min(end, (first // SEQUENCES_PER_LEAF + 1) * SEQUENCES_PER_LEAF)
        yield first, stop - first
        first = stop


def leaf_digest(paths: Uint8Array, labels: Int64Array) -> str:
    """Hexadecimal digest of a leaf: paths uint8 (n, S), labels int64 (n,)."""
    content = np.empty((len(paths), paths.shape[1] + 1), np.uint8)
    content[:, :-1] = paths
    content[:, -1] = labels
    return hashlib.sha256(content.data).hexdigest()


def split_digest(leaves: Iterable[str]) -> str:
    """Hexadecimal digest of a split from those of its leaves, in order."""
    digest = hashlib.sha256()
    for leaf in leaves:
        digest.update(bytes.fromhex(leaf))
    return digest.hexdigest()


def content_digest(image_size: int, splits: Mapping[str, str]) -> str:
    """``sha256:`` and the hexadecimal digest of a data set from those of its splits, by name."""
    identity = {"image_size": image_size, "splits": dict(splits)}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
