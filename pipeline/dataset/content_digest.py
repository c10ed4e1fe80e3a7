"""The content digest: what examples a data set holds, whatever their encoding and sharding.

Every example has a **content** of some bytes. A split is cut into **leaves** of a fixed number of examples,
counted from its first; the last may be smaller. A leaf's digest is the SHA-256 of its contents. A split's
digest is the SHA-256 of its leaves' digests, and the data set's the SHA-256 of the canonical JSON (sorted
keys, no spaces) of what identifies its kind and of its splits' digests by name. So workers can digest parts
of a split, and any part can be checked by itself.

Kinds of data set choose the content and the leaves: see `pipeline.definition`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

# The contents of some examples, uint8 (n, bytes of a content).
Contents = npt.NDArray[np.uint8]


def pieces(first: int, count: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range of ``count`` examples at multiples of a size: (first, count) of each piece."""
    end = first + count
    while first < end:
        stop = min(end, (first // size + 1) * size)
        yield first, stop - first
        first = stop


class LeafDigests:
    """Digests the leaves that begin in a range of a split's examples, in order.

    Args:
        per_leaf: examples in a leaf.
    """

    def __init__(self, per_leaf: int) -> None:
        self._per_leaf = per_leaf
        self._digests: list[bytes] = []
        self._open = hashlib.sha256()
        self._is_open = False

    def add(self, first: int, contents: Contents) -> None:
        """Take the contents of the next examples, of which ``first`` is the first one's number."""
        for start, count in pieces(first, len(contents), self._per_leaf):
            if start % self._per_leaf == 0:
                self._close()
                self._open, self._is_open = hashlib.sha256(), True
            if self._is_open:  # Else the leaf began before the range.
                self._open.update(np.ascontiguousarray(contents[start - first : start - first + count]).data)

    def digests(self) -> bytes:
        """The digests so far, 32 bytes each."""
        return b"".join([*self._digests, *([self._open.digest()] if self._is_open else [])])

    def _close(self) -> None:
        if self._is_open:
            self._digests.append(self._open.digest())


def split_digest(leaves: Iterable[bytes]) -> str:
    """Hexadecimal digest of a split from those of its leaves, of 32 bytes each, in order."""
    digest = hashlib.sha256()
    for leaf in leaves:
        digest.update(leaf)
    return digest.hexdigest()


def content_digest(identity: Mapping[str, Any], splits: Mapping[str, str]) -> str:
    """``sha256:`` and the hexadecimal digest of a data set from those of its splits, by name."""
    canonical = json.dumps({**identity, "splits": dict(splits)}, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
