"""The content digest: identifies a data set's examples, independently of encoding and sharding.

Every example has a **content** of a fixed number of bytes. A split is divided into **leaves** of a fixed
number of consecutive examples, from its first; the last leaf may be smaller. The digest of a leaf is the
SHA-256 of its contents. The digest of a split is the SHA-256 of its leaves' digests. The content digest of a
data set is the SHA-256 of the canonical JSON (sorted keys, no spaces) of the kind's identity and of the
splits' digests by name. So workers can digest parts of a split, and a part can be checked by itself.

The kind chooses its contents, leaves and identity: see `pipeline.definition`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.storage.canonical_json import json_sha256

# The contents of n examples: uint8 (n, bytes of a content).
Contents = npt.NDArray[np.uint8]


def pieces(first: int, count: int, size: int) -> Iterator[tuple[int, int]]:
    """Split the range of ``count`` numbers from ``first`` at the multiples of ``size``.

    Yields:
        (first, count) of each piece, in order.
    """
    end = first + count
    while first < end:
        stop = min(end, (first // size + 1) * size)
        yield first, stop - first
        first = stop


class LeafDigests:
    """Computes the digests of the leaves that begin in a range of a split's examples.

    The end of a leaf that began before the range is ignored.

    Args:
        per_leaf: number of examples in a leaf.
    """

    def __init__(self, per_leaf: int) -> None:
        self._per_leaf = per_leaf
        self._digests: list[bytes] = []
        self._open = hashlib.sha256()
        self._is_open = False

    def add(self, first: int, contents: Contents) -> None:
        """Add the contents of the next examples; ``first`` is the number of the first one in the split."""
        for start, count in pieces(first, len(contents), self._per_leaf):
            if start % self._per_leaf == 0:
                self._close()
                self._open, self._is_open = hashlib.sha256(), True
            if self._is_open:  # False if the leaf began before the range.
                self._open.update(np.ascontiguousarray(contents[start - first : start - first + count]).data)

    def digests(self) -> bytes:
        """The digests of all leaves so far, 32 bytes each; the last leaf with the examples added so far."""
        return b"".join([*self._digests, *([self._open.digest()] if self._is_open else [])])

    def _close(self) -> None:
        if self._is_open:
            self._digests.append(self._open.digest())


def split_digest(leaves: Iterable[bytes]) -> str:
    """Hexadecimal digest of a split.

    Args:
        leaves: the leaves' digests in order, 32 bytes each; an item may hold several.
    """
    digest = hashlib.sha256()
    for leaf in leaves:
        digest.update(leaf)
    return digest.hexdigest()


def content_digest(identity: Mapping[str, Any], splits: Mapping[str, str]) -> str:
    """``sha256:`` and the hexadecimal content digest of a data set.

    Args:
        identity: identifies the kind; JSON values by name.
        splits: by name of the split, what `split_digest` returned.
    """
    return f"sha256:{json_sha256({**identity, 'splits': dict(splits)})}"
